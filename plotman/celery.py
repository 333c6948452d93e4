"""Loaded by `celery -A plotman`: the app and, for `flower`, plotman's additions to Flower."""

from __future__ import annotations

import sys

from celery.events.state import TASK_EVENT_TO_STATE

from common.config.watch import load_to_run
from common.errors import PlotmanError
from common.system.output import clean_output, outlive_full_disk
from plotman import call
from plotman.app import make_app
from plotman.flower.guard import guard

__all__ = ["app"]

# A plot that reports progress is still a started task: otherwise Flower calls it PROGRESS, and removes its
# Terminate button.
TASK_EVENT_TO_STATE["progress"] = "STARTED"

clean_output()
outlive_full_disk()
try:
    SETTINGS = load_to_run()
    app = make_app(SETTINGS)
    call.install(app)
except PlotmanError as error:
    # `celery` would print a traceback and report that the module was not found.
    print(f"plotman: {error}", file=sys.stderr)  # noqa: T201
    sys.exit(error.exit_code)

guard(SETTINGS)
if "flower.urls" in sys.modules and "flower" in sys.argv:  # `celery` loads Flower for each of its commands
    from plotman.flower.install import install

    install()
