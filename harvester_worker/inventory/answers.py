"""Answers of the inventory: pages of sums, files and keys."""

from __future__ import annotations

import os
import sqlite3
from typing import Any

from common.errors import OrderRefused, PlotmanError
from common.model.inventory import MOST_KEYS, MOST_ROWS, FileRow, InventoryOrder, InventoryPage
from common.system.plotfile import printable
from harvester_worker.inventory.entry import month_text
from harvester_worker.inventory.inventory import Inventory
from harvester_worker.inventory.store import InventoryStore, StoredFile


def answer(inventory: Inventory, order: InventoryOrder) -> dict[str, Any]:
    """A page, as JSON.

    Raises:
        OrderRefused: there is no such drive or place, or the slice has too many keys.
        PlotmanError: the inventory cannot be read now.
    """
    drives, sums = inventory.rows(order.drive)
    if order.drive is not None and not drives:
        known = ", ".join(row.drive for row in inventory.rows()[0])
        raise OrderRefused(f"{order.drive} is no drive of {order.host}.", f"It has {known}.")
    counting = [row.drive for row in drives if row.counts]
    found: dict[str, Any] = {}
    if order.what is InventoryPage.SUMS:
        begin = _number(order.after)
        page = sums[begin : begin + order.limit]
        found["drives"] = [row.model_dump(mode="json") for row in drives]
        found["duplicates"] = inventory.duplicates()
        found["sums"] = [row.model_dump(mode="json", exclude_none=True) for row in page]
        found["next"] = str(begin + order.limit) if begin + order.limit < len(sums) else None
    else:
        found = _stored(inventory.store, order, counting)
    return {"version": 1, "host": order.host, "what": order.what.value, **found}


def _stored(store: InventoryStore | None, order: InventoryOrder, drives: list[str]) -> dict[str, Any]:
    if store is None:
        raise PlotmanError(f"The inventory of {order.host} is not open.", "Its worker's log says why.")
    try:
        if order.what is InventoryPage.KEYS:
            keys = store.keys(drives, order.begin, order.end, MOST_KEYS + 1)
            if len(keys) > MOST_KEYS:
                raise OrderRefused(f"The slice has more than {MOST_KEYS} keys.", "Ask for a smaller one.")
            return {"keys": keys}
        if order.what is InventoryPage.COPIES:
            return {"files": _rows(store.copies(drives, order.keys, order.limit))}
        if order.what is InventoryPage.CLASSED:
            return _classed(store, order, drives)
        faults = order.what is InventoryPage.FAULTS
        files = store.page(drives, faults, _place(order.after), order.limit)
    except sqlite3.Error as error:
        raise PlotmanError(
            f"The inventory of {order.host} cannot be read: {error}.", "Its worker's log says more."
        ) from error
    last = (
        f"{os.fsencode(files[-1].drive).hex()}/{files[-1].name.hex()}" if len(files) == order.limit else None
    )
    return {"files": _rows(files), "next": last}


def _classed(store: InventoryStore, order: InventoryOrder, drives: list[str]) -> dict[str, Any]:
    """The first files of each drive, of as many drives as a page takes."""
    begin = _number(order.after)
    end = begin + max(1, MOST_ROWS // order.limit)
    before = int(order.made_before.replace("-", "")) if order.made_before else None
    files: list[StoredFile] = []
    for drive in drives[begin:end]:
        files += store.classed(drive, order.classes, before, order.limit)
    return {"files": _rows(files), "next": str(end) if end < len(drives) else None}


def _rows(files: list[StoredFile]) -> list[dict[str, Any]]:
    return [_row(file).model_dump(mode="json", exclude_none=True) for file in files]


def _row(file: StoredFile) -> FileRow:
    entry = file.entry
    return FileRow(
        drive=printable(file.drive),
        name=printable(os.fsdecode(file.name)),
        size_bytes=file.stamp.size_bytes,
        made=month_text(entry.made),
        plot_id=entry.plot_id.hex() if entry.plot_id else None,
        meta_group=entry.meta_group,
        plots=entry.plots,
        plot_class=entry.plot_class,
        reason=entry.reason,
    )


def _number(text: str | None) -> int:
    if text is not None and not (text.isascii() and text.isdigit() and len(text) < 10):
        raise _no_place(text)
    return int(text or 0)


def _place(after: str | None) -> tuple[int, bytes] | None:
    if after is None:
        return None
    number, _, name = after.partition("/")
    try:
        return _number(number), bytes.fromhex(name)
    except ValueError as error:
        raise _no_place(after) from error


def _no_place(after: str) -> OrderRefused:
    what = f"{after[:50]!r} is not a place in the inventory."
    return OrderRefused(what, "Use `next` of the previous page.")
