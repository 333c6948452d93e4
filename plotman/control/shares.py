"""Which rows of a table the page shows: a table has no end if one host says so. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

MOST_ROWS = 500  # of a table: the running plots of a large farm


def fair_share(hosts: Sequence[str], ranks: Sequence[int] = (), most: int = MOST_ROWS) -> list[int]:
    """Choose rows so that no host's rows push out another's: the first row of each host, then the second, ...

    Args:
        hosts: of each row.
        ranks: of each row, the smallest matter most; empty: the first rows matter most.
        most: how many rows are chosen.

    Returns:
        The numbers of the chosen rows, from 0, in their order.
    """
    if len(hosts) <= most:
        return list(range(len(hosts)))
    numbers = sorted(range(len(hosts)), key=ranks.__getitem__) if ranks else range(len(hosts))
    so_far: Counter[str] = Counter()
    turns = []
    for order, number in enumerate(numbers):
        turns.append((so_far[hosts[number]], order, number))
        so_far[hosts[number]] += 1
    return sorted(number for _, _, number in sorted(turns)[:most])
