"""Log files of the supervisor's processes: plain files, which do not depend on the supervisor."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

ROTATE_BYTES = 10 * 2**20  # a larger log is rotated
KEEP = 5  # rotated logs: NAME.log.1 (the newest) to NAME.log.5


def log_file(state_dir: Path, name: str) -> Path:
    """Log file of the process `name`."""
    return state_dir / "logs" / f"{name}.log"


def open_log(path: Path, rotate_bytes: int = ROTATE_BYTES, keep: int = KEEP) -> int:
    """Open a log for appending; rotate it first if it is too large. Returns a file descriptor. Raises
    OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > rotate_bytes:
        _renumber(path, path, keep)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)


def empty_log(path: Path, rotate_bytes: int = ROTATE_BYTES, keep: int = KEEP) -> None:
    """Rotate a log that is too large while its process writes to it. Raises OSError; it is then unchanged.

    The process holds the file open to append, so the log is copied and then truncated. A line written between
    the two, within microseconds, is lost. Ignores what is not a plain file, such as a link.
    """
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode) or found.st_size <= rotate_bytes:
        return
    copy = path.with_name(f"{path.name}.new")
    copy.unlink(missing_ok=True)  # of a killed supervisor; never written to, because it may be a link
    with os.fdopen(os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC), "r+b", buffering=0) as log:
        try:
            new = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
            with os.fdopen(new, "wb") as aside:
                shutil.copyfileobj(log, aside)
                aside.flush()
                os.fsync(
                    aside.fileno()
                )  # a power cut must not lose both; some disks report only here that they are full
                _renumber(path, copy, keep)
                shutil.copyfileobj(log, aside)  # lines written meanwhile
                aside.flush()
                log.truncate(0)
        except OSError:
            copy.unlink(missing_ok=True)
            raise


def _renumber(path: Path, newest: Path, keep: int) -> None:
    """Renumber the rotated logs, with `newest` as the first."""
    for number in range(keep, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        newer = newest if number == 1 else path.with_name(f"{path.name}.{number - 1}")
        if newer.exists():
            newer.replace(older)


def last_lines(path: Path, count: int = 5, since_byte: int = 0) -> list[str]:
    """The last non-empty lines of a log, at most `count`, from the offset `since_byte` on.

    Empty if the log cannot be read, because the lines only illustrate another message.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(since_byte, size - 64 * 1024, 0))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [line.rstrip() for line in text.splitlines() if line.strip()][-count:]
