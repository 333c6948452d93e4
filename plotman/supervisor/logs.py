"""Log files of the runner's processes: plain files, so that nothing breaks when the runner dies."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

ROTATE_BYTES = 10 * 2**20  # a log larger than this is put aside
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
        _put_aside(path, path, keep)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)


def empty_log(path: Path, rotate_bytes: int = ROTATE_BYTES, keep: int = KEEP) -> None:
    """Put aside what stands in a log that has grown too large, while its process goes on writing to it.

    The process holds the file open (to append), so that it is copied and emptied. A line that is written
    between the end of the copy and the emptying, microseconds later, is lost. What is no plain file, such as
    a link that somebody made, is left alone. Raises OSError; the log then holds all that it held.
    """
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode) or found.st_size <= rotate_bytes:
        return
    copy = path.with_name(f"{path.name}.new")
    copy.unlink(missing_ok=True)  # of a runner that was killed; whatever it is, nothing is written into it
    with os.fdopen(os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC), "r+b", buffering=0) as log:
        try:
            new = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
            with os.fdopen(new, "wb") as aside:
                shutil.copyfileobj(log, aside)
                aside.flush()
                os.fsync(aside.fileno())  # a power cut must not take both; and some disks say only now: full
                _put_aside(path, copy, keep)
                shutil.copyfileobj(log, aside)  # what came meanwhile
                aside.flush()
                log.truncate(0)
        except OSError:
            copy.unlink(missing_ok=True)
            raise


def _put_aside(path: Path, newest: Path, keep: int) -> None:
    """Number the logs that were put aside anew, with `newest` as the first."""
    for number in range(keep, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        newer = newest if number == 1 else path.with_name(f"{path.name}.{number - 1}")
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
