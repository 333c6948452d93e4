"""Pages of a host's history: the answers of its history tasks."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import Field

from common.errors import OrderRefused, PlotmanError
from common.history.rows import BAD, End, HistoryKind, Row
from common.history.store import reading
from common.model.messages import Message, Moment, OneLine

MOST_ROWS = 1000  # of a page; about 1 MB of JSON

# A file to read: its path, and which outcomes count; None: all.
Source = tuple[Path, frozenset[End] | None]


class HistoryOrder(Message):
    """Arguments of a host's history task.

    since: only what ended then or later.
    after: `next` of the previous page; None: the newest page.
    failed: only failures.
    """

    host: OneLine
    kind: HistoryKind
    since: Moment | None = None
    limit: int = Field(100, ge=1, le=MOST_ROWS)
    after: OneLine | None = None
    failed: bool = False


def page(order: HistoryOrder, sources: Sequence[Source]) -> dict[str, Any]:
    """Read a page.

    Returns:
        JSON with the rows, the newest first, and `next`, the place of the next page; None on the last page.

    Raises:
        OrderRefused: `after` is not a place in the history.
        PlotmanError: a file cannot be read.
    """
    before = _cursor(order.after)
    try:
        found = [_rows(order, source, before) for source in sources]
    except (sqlite3.Error, OSError) as error:
        raise PlotmanError(
            f"The history of {order.host} cannot be read: {error}.", "Its worker's log says more."
        ) from error
    rows = list(heapq.merge(*found, key=_place, reverse=True))[: order.limit]
    last = "|".join(_place(rows[-1])) if len(rows) == order.limit else None
    return {
        "version": 1,
        "host": order.host,
        "kind": order.kind.value,
        "rows": [row.model_dump(mode="json") for row in rows],
        "next": last,
    }


def _rows(order: HistoryOrder, source: Source, before: tuple[str, str] | None) -> Iterable[Row]:
    path, ends = source
    if order.failed:
        ends = BAD if ends is None else ends & BAD
    with reading(path) as file:
        return file.page(order.kind, order.limit, order.since, before, ends) if file else []


def _place(row: Row) -> tuple[str, str]:
    return row.ended_at.astimezone(UTC).isoformat(timespec="microseconds"), row.key


def _cursor(after: str | None) -> tuple[str, str] | None:
    if after is None:
        return None
    at, bar, key = after.partition("|")
    try:
        datetime.fromisoformat(at)
    except ValueError:
        bar = ""
    if not bar:
        raise OrderRefused(
            f"{after[:50]!r} is not a place in the history.", "Use `next` of the previous page."
        )
    return at, key
