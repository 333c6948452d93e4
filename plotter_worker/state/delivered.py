"""Which plots of this host a harvester has all the bytes of, and so may have taken in.

On this machine's disk, since the notice board may be wiped: were that forgotten, the plot would be sent to
another harvester as well, and be farmed twice. Written by the archiver, read by the plotter's worker, which
strikes out what is no copy. A source is deleted only if its bytes reached whoever says to have them: with a
harvester's rights in Redis, anybody can say so.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict

from common.system import statefile

_KEPT = 5000  # the latest; a source waits for minutes, not for so many plots


class SourceFile(BaseModel):
    """A source as it was before it was read. receiver: harvester, or label of a target, that has these bytes.
    The inode is left out: some file systems make another one up later."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    receiver: str
    size_bytes: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result, receiver: str) -> Self:
        return cls(receiver=receiver, size_bytes=status.st_size, mtime_ns=status.st_mtime_ns)


class Delivered(BaseModel):
    """harvesters: path of the source -> harvester, in the order in which they got them. sources: by path;
    a record of an older plotman has a harvester and no source."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    harvesters: dict[str, str] = {}
    sources: dict[str, SourceFile] = {}


class DeliveredFile:
    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "delivered.json"
        self._seen: tuple[tuple[int, int], Delivered] = ((0, 0), Delivered())

    def put(self, path: str, harvester: str, source: os.stat_result | None = None) -> None:
        """Durable when it returns. Raises OSError where it cannot be written: the plot must not be taken in
        then. Whether a former plot is gone is not asked: its drive may be away for a moment.

        source: the file before it was read; None: not known, as in records of an older plotman.
        """
        self._put(path, SourceFile.of(source, harvester) if source else None, harvester)

    def put_target(self, path: str, target: str, source: os.stat_result) -> None:
        """The same for an archiving target, which no harvester looks after."""
        self._put(path, SourceFile.of(source, target), None)

    def _put(self, path: str, source: SourceFile | None, harvester: str | None) -> None:
        with self._alone():
            known = self._read()
            harvesters = dict(known.harvesters)
            if harvester is not None:
                harvesters.pop(path, None)
                harvesters[path] = harvester
            sources = {key: value for key, value in known.sources.items() if key != path}
            self._write(harvesters, {**sources, path: source} if source else sources)

    def forget(self, path: str, harvester: str) -> None:
        """This harvester does not have the plot, it is said. Durable when it returns. Raises OSError."""
        with self._alone():
            known = self._read()
            if known.harvesters.get(path) != harvester:
                return
            self._write(
                {key: value for key, value in known.harvesters.items() if key != path},
                {key: value for key, value in known.sources.items() if key != path},
            )

    def has(self, path: str, receiver: str, source: os.stat_result) -> bool:
        """Whether all bytes of this very file reached the receiver, or were compared with its copy."""
        known = self._read()
        if (sent := known.sources.get(path)) is not None:
            return sent == SourceFile.of(source, receiver)
        return known.harvesters.get(path) == receiver

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

    def _write(self, harvesters: dict[str, str], sources: dict[str, SourceFile]) -> None:
        latest = Delivered(
            harvesters=dict(list(harvesters.items())[-_KEPT:]), sources=dict(list(sources.items())[-_KEPT:])
        )
        statefile.write(self._path, latest)

    def _read(self) -> Delivered:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return Delivered()
        version = (status.st_mtime_ns, status.st_ino)  # two writes may fall into one tick of the clock
        if self._seen[0] != version:
            self._seen = (version, statefile.read(self._path, Delivered) or Delivered())
        return self._seen[1]
