"""Which plots of this host a harvester has all the bytes of, and so may have taken in.

On this machine's disk, since the notice board may be wiped: were that forgotten, the plot would be sent to
another harvester as well, and be farmed twice. Written by the archiver, read by the plotter's worker, which
strikes out what is no copy.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from common.system import statefile

_KEPT = 5000  # the latest; a source waits for minutes, not for so many plots


class Delivered(BaseModel):
    """harvesters: path of the source -> harvester, in the order in which they got them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    harvesters: dict[str, str] = {}


class DeliveredFile:
    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "delivered.json"
        self._seen: tuple[tuple[int, int], Delivered] = ((0, 0), Delivered())

    def put(self, path: str, harvester: str) -> None:
        """Durable when it returns. Raises OSError where it cannot be written: the plot must not be taken in
        then. Whether a former plot is gone is not asked: its drive may be away for a moment."""
        with self._alone():
            others = [known for known in self._read().harvesters.items() if known[0] != path]
            self._write([*others, (path, harvester)][-_KEPT:])

    def forget(self, path: str, harvester: str) -> None:
        """This harvester does not have the plot, it is said. Durable when it returns. Raises OSError."""
        with self._alone():
            self._write([known for known in self._read().harvesters.items() if known != (path, harvester)])

    def harvester_of(self, path: str) -> str | None:
        """Harvester that has all bytes of this plot; None where no transfer of it was completed."""
        return self._read().harvesters.get(path)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else changes the file meanwhile, no other process either."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _write(self, harvesters: list[tuple[str, str]]) -> None:
        statefile.write(self._path, Delivered(harvesters=dict(harvesters)))

    def _read(self) -> Delivered:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return Delivered()
        version = (status.st_mtime_ns, status.st_ino)  # two writes may fall into one tick of the clock
        if self._seen[0] != version:
            self._seen = (version, statefile.read(self._path, Delivered) or Delivered())
        return self._seen[1]
