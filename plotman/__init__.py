"""The Celery app (`celery -A plotman ...`) and what people touch: command line and dashboards."""
