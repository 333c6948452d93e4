"""Task that answers pages of the harvester's history."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from common import names
from common.errors import OrderRefused
from common.history.pages import HistoryOrder, page
from common.history.rows import HistoryKind
from harvester_worker.service import current


@shared_task(name=names.HARVESTER_HISTORY, throws=(OrderRefused,))
def history(kind: str = "landings", **arguments: Any) -> dict[str, Any]:
    """A page of the plots that were taken in or refused here, newest first. Arguments: HistoryOrder; answer:
    version, host, kind, rows (common.history.rows.LandingEnd), next."""
    order = HistoryOrder.read(kind=kind, **arguments)
    if order.kind is not HistoryKind.LANDINGS:
        raise OrderRefused(f"A harvester has no {order.kind}.", f"Ask {names.PLOTTER_HISTORY}.")
    return page(order, [(current(order.host).history.path, None)])
