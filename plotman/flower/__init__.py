"""Extensions of Flower (`celery -A plotman flower`): a page of the farm, readable tasks, a password check."""
