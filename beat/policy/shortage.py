"""The one rule about bytes, asked of tmp, tmp2 and dst: what a plot needs must be left beside what
running and ordered plots will still take. Free space that is not known is neither zero nor plenty."""

from __future__ import annotations

from beat.policy.load import Load
from common.snapshot import Directory, DirState, Wait
from common.units import human_bytes, human_bytes_apart


def unusable(load: Load, role: str, directory: Directory, subject: str | None) -> Wait | None:
    """A directory that is not known to be there and writable takes nothing."""
    if directory.state is DirState.OK:
        return None
    return Wait(
        host=load.snapshot.host,
        rule=f"{role} state",
        reason=f"{role} {directory.path}: {directory.state.value}",
        subject=subject,
        numbers={},
    )


def shortage(
    load: Load, role: str, directory: Directory, needs_bytes: int, subject: str | None
) -> Wait | None:
    """role: tmp, tmp2 or dst. needs_bytes: of one more plot, on the file system of `directory`."""
    if not load.snapshot.check_room:
        return None
    free = load.room.free_bytes(directory)
    spoken = load.room.spoken_bytes(directory)
    if free is not None and needs_bytes <= free - spoken:
        return None
    numbers: dict[str, float] = {"needs_bytes": needs_bytes, "spoken_bytes": spoken}
    if free is None:
        text = f"needs {human_bytes(needs_bytes)}, free space is not known"
    else:
        numbers["free_bytes"] = free
        needs_text, free_text = human_bytes_apart(needs_bytes, free)
        text = f"needs {needs_text}, {free_text} free"
        if spoken:
            text += f" of which {human_bytes(spoken)} are spoken for"
    if directory.path != subject:
        text += f" in {directory.path}"
    return Wait(
        host=load.snapshot.host,
        rule=f"{role} room",
        reason=f"{role} room: {text}",
        subject=subject,
        numbers=numbers,
    )
