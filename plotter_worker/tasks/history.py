"""The task that returns pages of a plotter's history."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from common import names
from common.errors import OrderRefused
from common.history.pages import HistoryOrder, Source, page
from common.history.recorder import history_path
from common.history.rows import End, HistoryKind
from common.names import Role
from plotter_worker.service import current


@shared_task(name=names.PLOTTER_HISTORY, throws=(OrderRefused,))
def history(**arguments: Any) -> dict[str, Any]:
    """A page of this host's plots or transfers, the newest first. HistoryOrder; answer: version, host, kind,
    rows (common.history.rows), next."""
    order = HistoryOrder.read(**arguments)
    state_dir = current(order.host).settings.state_dir
    own = history_path(state_dir, Role.PLOTTER)
    if order.kind is HistoryKind.PLOTS:
        return page(order, [(own, None)])
    if order.kind is HistoryKind.TRANSFERS:
        # The archiver's queue would answer only after its current transfer, so its file is read here. Only
        # its failed attempts: this worker's file has the result of the others.
        tries: Source = (history_path(state_dir, Role.ARCHIVER), frozenset({End.FAILED}))
        return page(order, [(own, None), tries])
    raise OrderRefused(
        f"A plotter has no {order.kind}.", f"Ask {names.HARVESTER_HISTORY}, or for plots or transfers."
    )
