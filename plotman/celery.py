"""Loaded by `celery -A plotman`: the app and, for `flower`, plotman's additions to Flower."""

from __future__ import annotations

import sys

from celery.events.state import TASK_EVENT_TO_STATE

from plotman.app import SETTINGS, app
from plotman.flower.guard import guard

__all__ = ["app"]

# A plot that reports progress is still a started task: otherwise Flower calls it PROGRESS, and removes its
# Terminate button.
TASK_EVENT_TO_STATE["progress"] = "STARTED"

guard(SETTINGS)
if "flower.urls" in sys.modules and "flower" in sys.argv:  # `celery` loads Flower for each of its commands
    from plotman.flower.install import install

    install()
