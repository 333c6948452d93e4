"""Answer to `plotman inventory --farmed`: what of the inventory chia farms."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from typing import Any

from common.errors import OrderRefused, PlotmanError
from common.model.inventory import FarmedRow, FileRow, InventoryOrder
from common.system.plotfile import printable
from harvester_worker.farmed import chia_rpc
from harvester_worker.farmed.findings import compare
from harvester_worker.farmed.watch import FarmedWatch
from harvester_worker.inventory.inventory import Inventory
from harvester_worker.inventory.store import InventoryStore

_PAGE = 5_000


def farmed_answer(inventory: Inventory, watch: FarmedWatch, order: InventoryOrder) -> dict[str, Any]:
    """Ask chia's harvester, and compare.

    Returns:
        JSON with `farmed`, a row for each drive that counts, and `files`, the first that are not farmed.

    Raises:
        OrderRefused: no chia_root is configured, or there is no such drive.
        ChiaSilent: chia does not answer.
    """
    if watch.root is None:
        raise OrderRefused(
            f"{order.host} does not know its chia.", "Set harvester.chia_root in its plotman.yaml."
        )
    drives = [path for path in inventory.counting() if order.drive in (None, path)]
    if order.drive is not None and not drives:
        raise OrderRefused(f"{order.drive} is no drive of {order.host} that can be read now.", "See `dirs`.")
    store = inventory.store
    if store is None:
        raise PlotmanError(f"The inventory of {order.host} is not open.", "Its worker's log says why.")
    view = chia_rpc.ask(watch.root)
    real = watch.real_paths(drives)
    rows: list[dict[str, Any]] = []
    files: list[FileRow] = []
    try:
        for drive in drives:
            row, others = compare(view, drive, _names(store, drive), real)
            rows.append(
                FarmedRow(
                    drive=printable(drive),
                    searched=row.searched,
                    files=row.files,
                    farmed=row.farmed,
                    failed=row.failed,
                ).model_dump(mode="json")
            )
            files += [
                FileRow(drive=printable(drive), name=printable(name), size_bytes=0, reason=why)
                for name, why in others[: max(0, order.limit - len(files))]
            ]
    except sqlite3.Error as error:
        raise PlotmanError(
            f"The inventory of {order.host} cannot be read: {error}.", "Its worker's log says more."
        ) from error
    listed = [file.model_dump(mode="json", exclude_none=True) for file in files]
    return {"version": 1, "host": order.host, "what": order.what.value, "farmed": rows, "files": listed}


def _names(store: InventoryStore, drive: str) -> Iterator[str]:
    """Names of the files with plots, page by page."""
    after = None
    while page := store.page([drive], False, after, _PAGE):
        yield from (os.fsdecode(file.name) for file in page)
        after = (page[-1].number, page[-1].name)
