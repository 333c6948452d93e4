"""Where a new plot's finished file goes: the choice of its dst directory."""

from __future__ import annotations

from beat.policy.load import Load
from beat.policy.room import trimmed
from beat.policy.shortage import shortage, unusable
from common.snapshot import Directory, TmpDir, Wait


def destination(tmp: TmpDir, load: Load) -> str | Wait:
    """The dst directory for a plot made in `tmp`, or why there is none.

    The tmp directory itself where it is also a dst; where no dst is configured, tmp2 or else tmp. The
    others are for whoever has room: first one that no plot is on its way to, the one with the most
    room; then the one whose least advanced incoming plot is the most advanced.
    """
    snapshot = load.snapshot
    if not snapshot.dst_dirs:
        home: Directory = tmp if snapshot.tmp2 is None else snapshot.tmp2
        return _refusal(home, tmp, load) or home.path
    own = trimmed(tmp.path)
    choice = [dst for dst in snapshot.dst_dirs if trimmed(dst.path) == own] or snapshot.dst_dirs
    refusals: list[tuple[Directory, Wait]] = []
    fits: list[Directory] = []
    for dst in choice:
        refused = _refusal(dst, tmp, load)
        if refused is None:
            fits.append(dst)
        else:
            refusals.append((dst, refused))
    return min(fits, key=lambda dst: _rank(dst, load)).path if fits else _explain(refusals, load)


def _refusal(dst: Directory, tmp: TmpDir, load: Load) -> Wait | None:
    """dst must hold this plot beside all that are in the making, and what tmp takes if it lies there."""
    return unusable(load, "dst", dst, tmp.path) or shortage(
        load, "dst", dst, load.room.needs_bytes(dst, tmp.path, dst.path), tmp.path
    )


def _rank(dst: Directory, load: Load) -> tuple[int, int, int, int, int]:
    """Least is best. The last resort is the order of the configuration (`min` keeps it)."""
    incoming = load.phases_to(dst.path)
    roomy = -(load.room.left_bytes(dst) or 0)
    if not incoming:
        return 0, 0, 0, 0, roomy
    major, minor = min(incoming)
    return 1, -major, -minor, len(incoming), roomy


def _explain(refusals: list[tuple[Directory, Wait]], load: Load) -> Wait:
    """One wait for all dst directories: that of the roomiest, with what is wrong with the others."""
    refusals = sorted(refusals, key=lambda refused: _closeness(refused[0], refused[1], load))
    _, nearest = refusals[0]
    reason = nearest.reason
    if len(refusals) > 1:
        short = sum(wait.rule == "dst room" for _, wait in refusals)
        if short > 1:
            reason += f", the roomiest of {short}"
        unusable_dirs = [
            f"{dst.path} {dst.state.value}" for dst, wait in refusals[1:] if wait.rule == "dst state"
        ]
        reason = "; ".join([reason, *unusable_dirs])
    if nearest.rule == "dst room" and (waiting := len(load.snapshot.plots)):
        reason += f"; {waiting} finished plots are not archived yet"
    return nearest.model_copy(update={"reason": reason})


def _closeness(dst: Directory, wait: Wait, load: Load) -> tuple[bool, int]:
    return wait.rule != "dst room", -(load.room.left_bytes(dst) or 0)
