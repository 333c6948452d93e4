"""Task that answers what lies on the harvester's drives."""

from __future__ import annotations

from typing import Any

from common import names
from common.model.inventory import InventoryOrder, InventoryPage
from common.worker.task import task
from harvester_worker.farmed.answers import farmed_answer
from harvester_worker.inventory.answers import answer
from harvester_worker.service import current


@task(names.INVENTORY)
def inventory(order: InventoryOrder) -> dict[str, Any]:
    """What lies on the drives, from the inventory that the harvester keeps; reads no drive.

    Args:
        order: `what` is sums (the default), files, faults, keys, copies, classed or farmed.

    Returns:
        `host`, and by `what`: `sums` (common.model.inventory.SumRow) with `drives` (DriveRow) and
        `duplicates` (a number), `files` (FileRow), `keys`, or
        `farmed` (FarmedRow) with the first `files` that are not; and `next`, the place of the next page.
    """
    harvester = current(order.host)
    if order.what is InventoryPage.FARMED:
        return farmed_answer(harvester.inventory, harvester.farmed, order)
    return answer(harvester.inventory, order)
