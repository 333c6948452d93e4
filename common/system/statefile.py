"""Small state files, most of them JSON, that are complete after a kill at any moment."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from common.system.openfile import open_regular

log = logging.getLogger(__name__)

M = TypeVar("M", bound=BaseModel)


class Stored(BaseModel):
    """Base of what is in state files. Another release may have written them: unknown keys are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name the file in an OSError of the body. The error of a failed write, as on a full disk, names none."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def private_folder(path: Path) -> None:
    """Create a folder that only its owner may enter. One that exists, and that an earlier release made for
    all, is closed to others if it is ours. Raises OSError."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.stat()
    shared = found.st_mode & stat.S_ISVTX  # as /tmp: not made by plotman
    if found.st_uid == os.geteuid() and found.st_mode & 0o077 and not shared:
        path.chmod(stat.S_IMODE(found.st_mode) & 0o700)


def write(path: Path, content: BaseModel) -> None:
    """Replace the file as a whole, as `replace` does. Raises OSError."""
    replace(path, content.model_dump_json().encode())


def keep(path: Path, content: BaseModel, what: str) -> None:
    """Write as `write` does, and create the folder. On failure, as on a full disk, only log that a restart
    would forget `what`."""
    try:
        private_folder(path.parent)
        write(path, content)
    except OSError as error:
        log.error("%s cannot be written, a restart would forget %s: %s", path, what, error)


def replace(path: Path, content: bytes) -> None:
    """Replace a file atomically, and durably once this has returned. Only its owner may read it. Raises
    OSError.

    The draft has a unique name: a worker that stops and its successor may write at the same time.
    """
    with (
        naming(path),
        NamedTemporaryFile(dir=path.parent, prefix=f"{path.stem}.", suffix=".part", delete=False) as part,
    ):
        try:
            part.write(content)
            part.flush()
            os.fsync(part.fileno())
            Path(part.name).replace(path)
        except BaseException:
            Path(part.name).unlink(missing_ok=True)
            raise
    make_durable(path.parent)


def read(path: Path, kind: type[M]) -> M | None:
    """The file's content; None if it is missing, or unreadable, which is logged."""
    try:
        with open_regular(path) as file:
            return kind.model_validate_json(file.read())
    except FileNotFoundError:
        return None
    except (ValidationError, OSError) as error:
        log.warning("%s is unreadable and is ignored: %s", path, error)
        return None


def make_durable(path: Path) -> None:
    """fsync a regular file or a directory. A rename survives a power cut only once both its directories are
    synced. Raises OSError, also for a pipe or a device."""
    if not path.is_dir():
        with open_regular(path) as file:
            os.fsync(file.fileno())
        return
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
