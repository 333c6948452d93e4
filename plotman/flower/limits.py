"""How much of a text the page shows, and what it says of rows that it leaves out. Pure."""

from __future__ import annotations

from common.model.text import one_line

LONGEST_TEXT = 300  # characters of a cell or a line: a host may write any, in each of hundreds of rows


def more(count: int, verb: str) -> str:
    """Say how many rows are left out, and which verb shows all; empty if none are."""
    return f"and {count:,} more; `plotman {verb}` shows all" if count else ""


def short(text: str) -> str:
    """A line as the page shows it; `…` where it is cut."""
    line = one_line(text, LONGEST_TEXT + 1)
    return line if len(line) <= LONGEST_TEXT else f"{line[: LONGEST_TEXT - 1]}…"
