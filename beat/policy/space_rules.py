"""Rules for each directory, whether tmp, tmp2 or dst: usable, not drained, enough free space.

Space that running and ordered plots will still take is not free. Free space that is not known is neither zero
nor plenty: the plot waits.
"""

from __future__ import annotations

from beat.policy.load import Load
from common.model.disk_usage import Disk
from common.model.holds import sentence
from common.model.snapshot import Directory, DirState, Wait
from common.model.units import human_bytes, human_bytes_apart


def unusable(load: Load, role: str, directory: Directory, subject: str | None) -> Wait | None:
    """A directory must be known to be there and writable."""
    if directory.state is DirState.OK:
        return None
    state = directory.state.value
    return Wait(
        host=load.snapshot.host,
        rule=f"{role} state",
        reason=f"{role} {directory.path}: {state}" if subject != directory.path else state,
        subject=subject,
        numbers={},
    )


def drained(load: Load, role: str, directory: Directory, subject: str | None) -> Wait | None:
    """An operator has drained the directory."""
    hold = directory.drained
    if hold is None:
        return None
    is_subject = subject == directory.path
    what = "drained" if is_subject else f"{role} {directory.path} is drained"
    return Wait(
        host=load.snapshot.host,
        rule="drained" if is_subject else f"{role} drained",
        reason=sentence(what, hold, load.now, load.snapshot.utc_offset_s),
        subject=subject,
        numbers={},
        until=hold.until if hold.until is not None and hold.until > load.now else None,
    )


def shortage(
    load: Load, role: str, directory: Directory, needs_bytes: int, subject: str | None
) -> Wait | None:
    """The file system must have space for one more plot.

    Args:
        role: tmp, tmp2 or dst.
        needs_bytes: what one more plot needs on the file system of `directory`.
        subject: of the wait: the tmp directory; None: the host.
    """
    if not load.snapshot.check_room:
        return None
    disk = load.usage.at(directory.path).disk
    # Both must be known: an answer from another directory of the file system does not show this one's state.
    known = directory.free_bytes is not None and disk.free_bytes is not None
    if known and needs_bytes <= disk.left_bytes:
        return None
    return _short(load, role, directory, needs_bytes, disk if known else None, subject)


def _short(
    load: Load, role: str, directory: Directory, needs_bytes: int, disk: Disk | None, subject: str | None
) -> Wait:
    """disk: None if its free space is not known."""
    numbers: dict[str, float] = {"needs_bytes": needs_bytes}
    if disk is None or disk.free_bytes is None:
        text = f"needs {human_bytes(needs_bytes)}, free space is not known"
    else:
        numbers |= {"free_bytes": disk.free_bytes, "spoken_bytes": disk.spoken_bytes}
        needs_text, free_text = human_bytes_apart(needs_bytes, disk.free_bytes)
        text = f"needs {needs_text}, {free_text} free"
        if disk.spoken_bytes:
            text += f", {human_bytes(disk.spoken_bytes)} of it for running plots"
    if directory.path != subject:
        text += f" in {directory.path}"
    if directory.total_bytes is not None and needs_bytes > directory.total_bytes:
        return Wait(
            host=load.snapshot.host,
            rule=f"{role} size",
            reason=f"{role} {directory.path} is too small: a plot needs {human_bytes(needs_bytes)}, and its "
            f"drive has {human_bytes(directory.total_bytes)} in all",
            subject=subject,
            numbers=numbers | {"total_bytes": directory.total_bytes},
        )
    return Wait(
        host=load.snapshot.host,
        rule=f"{role} room",
        reason=f"{role} room: {text}",
        subject=subject,
        numbers=numbers,
    )
