"""Task that answers what lies on the harvester's drives."""

from __future__ import annotations

from typing import Any

from common import names
from common.model.inventory import InventoryOrder
from common.worker.task import task
from harvester_worker.inventory.answers import answer
from harvester_worker.service import current


@task(names.INVENTORY)
def inventory(order: InventoryOrder) -> dict[str, Any]:
    """What lies on the drives, from the inventory that the harvester keeps; reads no drive.

    Args:
        order: `what` is sums (the default), files, faults, keys or copies.

    Returns:
        `host`, and by `what`: `sums` (common.model.inventory.SumRow) with `drives` (DriveRow) and
        `duplicates` (a number), `files` (FileRow), or `keys`; and `next`, the place of the next page.
    """
    return answer(current(order.host).inventory, order)
