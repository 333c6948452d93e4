"""Turns: which start of a plotter host is due next.

A turn is `<incarnation>:<n>`. n counts the jobs that started on the host, whoever started them; the
incarnation is new with each start of its plotter worker. An order names the turn at which it is due
and is void at any other, so that two orders for one turn start one plot.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def next_turn(turn: str, starts: int) -> str:
    """The turn after `starts` more jobs have started: ("a1:7", 2) -> "a1:9". 0 gives the turn itself."""
    incarnation, count = split(turn)
    return f"{incarnation}:{count + starts}" if starts else turn


def is_due(turn: str, current: str) -> bool:
    """Whether an order for `turn` can still be carried out on a host whose turn is `current`: now, or
    when the orders before it have been."""
    incarnation, count = split(turn)
    incarnation_now, count_now = split(current)
    return incarnation == incarnation_now and count >= count_now


def free_turns(current: str, taken: Iterable[str]) -> Iterator[str]:
    """The turns from `current` on that no order holds yet.

    Gaps come first: an order behind a gap is only carried out once the gap is filled.
    """
    held = set(taken)
    starts = 0
    while True:
        turn = next_turn(current, starts)
        if turn not in held:
            yield turn
        starts += 1


def split(turn: str) -> tuple[str, int]:
    """(incarnation, n). A turn that is not written so counts as the first of an incarnation of its own:
    what one host writes must not stop the decisions for all others."""
    incarnation, colon, count = turn.rpartition(":")
    return (incarnation, int(count)) if colon and count.isascii() and count.isdigit() else (turn, 0)
