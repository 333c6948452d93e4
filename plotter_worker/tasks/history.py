"""The task that returns pages of a plotter's history."""

from __future__ import annotations

from typing import Any

from common import names
from common.errors import OrderRefused
from common.history.pages import HistoryOrder, Source, page
from common.history.recorder import history_path
from common.history.rows import End, HistoryKind
from common.names import Role
from common.worker.task import task
from plotter_worker.service import current


@task(names.PLOTTER_HISTORY)
def history(order: HistoryOrder) -> dict[str, Any]:
    """A page of this host's plots or transfers, the newest first. Answer: version, host, kind,
    rows (common.history.rows), next."""
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
