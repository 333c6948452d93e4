"""The Celery app (`celery -A plotman ...`) and its front ends: command line and dashboards."""
