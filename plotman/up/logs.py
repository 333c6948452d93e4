"""Log files of the runner's processes: plain files, so that nothing breaks when the runner dies."""

from __future__ import annotations

import os
from pathlib import Path

ROTATE_BYTES = 10 * 2**20  # a log larger than this is put aside when its process starts
KEEP = 5  # logs put aside: NAME.log.1 (the newest) to NAME.log.5


def log_file(state_dir: Path, name: str) -> Path:
    """Where the process `name` writes what it says."""
    return state_dir / "logs" / f"{name}.log"


def open_log(path: Path, rotate_bytes: int = ROTATE_BYTES, keep: int = KEEP) -> int:
    """Open a log for appending, put aside first when it has grown too large.

    Gives a file descriptor that the caller closes. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > rotate_bytes:
        _put_aside(path, keep)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)


def _put_aside(path: Path, keep: int) -> None:
    for number in range(keep, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        newer = path if number == 1 else path.with_name(f"{path.name}.{number - 1}")
        if newer.exists():
            newer.replace(older)


def last_lines(path: Path, count: int = 5, since_byte: int = 0) -> list[str]:
    """The last non-empty lines of a log, at most `count`, none older than `since_byte`.

    Empty where the log cannot be read: this only illustrates another message.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(since_byte, size - 64 * 1024, 0))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [line.rstrip() for line in text.splitlines() if line.strip()][-count:]
