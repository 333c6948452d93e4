"""The choice of a new plot's dst directory."""

from __future__ import annotations

from collections.abc import Sequence

from beat.policy.load import Load
from beat.policy.space_rules import drained, shortage, unusable
from common.model.snapshot import Directory, TmpDir, Wait
from common.model.units import counted


def no_destination(tmp: TmpDir, load: Load) -> Wait | None:
    """Return why no dst directory can take a plot made in `tmp`; None if one can."""
    refusals: list[tuple[Directory, Wait]] = []
    for dst in _candidates(tmp, load):
        refused = _refusal(dst, tmp, load)
        if refused is None:
            return None
        refusals.append((dst, refused))
    return _explain(refusals, load)


def destination(tmp: TmpDir, load: Load) -> str:
    """Choose the dst directory for a plot made in `tmp`, for which `no_destination` is None.

    Of those with space, the one with the most space to which no plot is on its way; otherwise the one whose
    least advanced incoming plot is the most advanced.
    """
    fits = [dst for dst in _candidates(tmp, load) if _refusal(dst, tmp, load) is None]
    return min(fits, key=lambda dst: _rank(dst, load)).path


def _candidates(tmp: TmpDir, load: Load) -> Sequence[Directory]:
    """Return the tmp directory itself if it is also a dst; if no dst is configured, tmp2 or else tmp."""
    snapshot = load.snapshot
    if not snapshot.dst_dirs:
        return (tmp if snapshot.tmp2 is None else snapshot.tmp2,)
    own = load.usage.at(tmp.path).dst
    return snapshot.dst_dirs if own is None else (own,)


def _refusal(dst: Directory, tmp: TmpDir, load: Load) -> Wait | None:
    """dst needs space for this plot and all running ones, and for its tmp files if they are on its drive."""
    return (
        drained(load, "dst", dst, tmp.path)
        or unusable(load, "dst", dst, tmp.path)
        or shortage(load, "dst", dst, load.usage.needs_bytes(dst.path, tmp.path, dst.path), tmp.path)
    )


def _rank(dst: Directory, load: Load) -> tuple[int, int, int, int, int]:
    """Sort key; the least is the best. Of equals, `min` takes the first in the configuration."""
    usage = load.usage.at(dst.path)
    if not usage.incoming:
        return 0, 0, 0, 0, -usage.disk.left_bytes
    major, minor = min(usage.incoming)
    return 1, -major, -minor, len(usage.incoming), -usage.disk.left_bytes


def _explain(refusals: list[tuple[Directory, Wait]], load: Load) -> Wait:
    """Make one wait for all dst directories: the one with the most space, and the faults of the others."""
    short = [refused for refused in refusals if refused[1].rule == "dst room"]
    nearest = min(
        short or refusals,
        key=lambda refused: (refused[0].free_bytes is None, -load.usage.at(refused[0].path).disk.left_bytes),
    )
    reason = nearest[1].reason
    if len(short) > 1:
        reason += f", the most of {counted(len(short), 'directory', 'directories')}"
    broken = [
        f"{dst.path}: {'drained' if dst.drained else dst.state.value}"
        for dst, wait in refusals
        if wait.rule in ("dst state", "dst drained", "drained") and wait is not nearest[1]
    ]
    reason = "; ".join([reason, *broken])
    if short and (waiting := len(load.snapshot.plots)):
        reason += f"; {counted(waiting, 'finished plot')} {'is' if waiting == 1 else 'are'} not archived yet"
    return nearest[1].model_copy(update={"reason": reason})
