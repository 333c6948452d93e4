"""Where another one is ahead of plotman. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import peer
from benchmarks.figures import Figure, brief

_MORE_IS_BETTER = ("MB/s", "%")
# What is nearer than this is the same: runs differ by as much.
_SAME = 0.05
# Compared with others' whole work, not a rival of theirs.
_NOT_COMPARED = ("plotman: whole",)


def behind(figures: Sequence[Figure]) -> list[str]:
    """A sentence for each figure of ours that a peer's of the same case and unit beats."""
    found = []
    for ours in figures:
        if not _is_ours(ours) or ours.subject in _NOT_COMPARED:
            continue
        rivals = [each for each in figures if (each.at, each.unit) == (ours.at, ours.unit)]
        found += [
            f"{ours.at}: {brief(ours.median)} {ours.unit}; {each.subject}: {brief(each.median)}."
            for each in rivals
            if not _is_ours(each) and _beats(each, ours)
        ]
    return found


def _is_ours(figure: Figure) -> bool:
    return figure.subject.startswith("plotman") and not figure.subject.startswith(peer.NAME)


def _beats(rival: Figure, ours: Figure) -> bool:
    if ours.unit in _MORE_IS_BETTER:
        return rival.median > ours.median * (1 + _SAME)
    return rival.median < ours.median * (1 - _SAME)
