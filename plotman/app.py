"""The Celery app of this machine's processes and verbs."""

from __future__ import annotations

from typing import Any

from celery import Celery, signals

from common.config import Config
from common.config.broker_url import broker_url
from common.worker import results, transport
from plotman.settings import celery_settings

# StartCheck runs in every worker, each other step only in workers of its role.
_SERVICES = (
    "common.worker.startup:StartCheck",
    "plotter_worker.service:PlotterService",
    "plotter_worker.archiving.archiver:ArchiverService",
    "harvester_worker.service:HarvesterService",
)


def make_app(settings: Config) -> Celery:
    """Make the app. Raises PlotmanError if the settings name no broker."""
    transport.install()
    url = broker_url(settings)
    made = Celery("plotman")
    results.install(made)
    made.conf.update(celery_settings(url, settings.host))
    made.steps["worker"].update(_SERVICES)

    def correct_expiry(headers: dict[str, Any], **_: Any) -> None:
        transport.correct_expiry(headers, url)

    # Once in a process, also with a second app: each call would correct the time again.
    signals.before_task_publish.connect(correct_expiry, weak=False, dispatch_uid="plotman")
    return made


@signals.celeryd_init.connect(weak=False)
def _share_connections(conf: Any, **_: Any) -> None:
    """Let the tasks of a worker share connections to Redis.

    A running plot's task is a thread, and would hold connections of its own: many machines would exceed the
    10,000 that Redis allows. Only in workers, which wait for no results; a process that waits for some would
    queue behind others that wait.
    """
    conf.result_backend_thread_safe = True
