"""Task that answers pages of the harvester's history."""

from __future__ import annotations

from typing import Any

from common import names
from common.errors import OrderRefused
from common.history.pages import HistoryOrder, page
from common.history.rows import HistoryKind
from common.worker.task import task
from harvester_worker.service import current


class LandingsOrder(HistoryOrder):
    kind: HistoryKind = HistoryKind.LANDINGS


@task(names.HARVESTER_HISTORY)
def history(order: LandingsOrder) -> dict[str, Any]:
    """A page of the plots that were taken in or refused here, newest first. Answer:
    version, host, kind, rows (common.history.rows.LandingEnd), next."""
    if order.kind is not HistoryKind.LANDINGS:
        raise OrderRefused(f"A harvester has no {order.kind}.", f"Ask {names.PLOTTER_HISTORY}.")
    return page(order, [(current(order.host).history.path, None)])
