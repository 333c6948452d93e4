"""What plotman adds to Flower (`celery -A plotman flower`): a page of the farm, readable tasks, a guard."""
