"""The Celery app, found by `celery -A plotman`."""

from __future__ import annotations

import sys
from typing import Any

from celery import Celery, signals
from celery.events.state import TASK_EVENT_TO_STATE

from common.config.broker_url import broker_url
from common.config.last_good import load_to_run
from common.errors import PlotmanError
from common.worker import transport
from plotman.flower.guard import guard
from plotman.settings import celery_settings

# A plot that reports progress is still a started task: without this Flower calls it PROGRESS, and takes
# its Terminate button away.
TASK_EVENT_TO_STATE["progress"] = "STARTED"

# The check acts in every worker, each other only in the worker whose node name is of its role.
_SERVICES = (
    "common.worker.startup:StartCheck",
    "plotter_worker.service:PlotterService",
    "plotter_worker.archiving.archiver:ArchiverService",
    "harvester_worker.service:HarvesterService",
)


def make_app() -> Celery:
    """The app for this machine's plotman.yaml. Raises PlotmanError where that does not say how."""
    settings = load_to_run()
    transport.install()
    made = Celery("plotman")
    made.conf.update(celery_settings(broker_url(settings), settings.host))
    made.steps["worker"].update(_SERVICES)
    guard(settings)
    if "flower.urls" in sys.modules and "flower" in sys.argv:  # `celery` loads it whatever its command is
        from plotman.flower.install import install

        install()
    return made


@signals.celeryd_init.connect(weak=False)
def _share_connections(conf: Any, **_: Any) -> None:
    """Else each plot in the making, whose task is a thread, holds connections to Redis of its own: many
    machines would take more than the 10,000 that Redis allows. Only in workers, which wait for no results:
    who waits would stand behind others who wait."""
    conf.result_backend_thread_safe = True


try:
    app = make_app()
except PlotmanError as error:
    # `celery` would print a traceback and say that the module was not found.
    print(f"plotman: {error}", file=sys.stderr)  # noqa: T201
    sys.exit(error.exit_code)
