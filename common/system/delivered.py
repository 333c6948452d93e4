"""Remembers which harvester or target received all bytes of a plot, and which file that was.

On this machine's disk, because the board may be wiped: without this the plot would be sent to another
harvester, too, and be farmed twice. A plot is known by its id, under whatever path it lies now. The archiver
writes the file; the plotter's worker reads it and removes failed copies. A source is deleted only if its
bytes reached the host that claims to have them: a harvester's Redis password is enough to send such a claim.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

from pydantic import Field

from common.model.plot_name import plot_id_of
from common.system import statefile
from common.system.statefile import Stored

_KEPT = 5000  # the latest; a source is released within minutes


class SourceFile(Stored):
    """A source before it was read. receiver: harvester, or label of a target, that has these bytes.

    inode: None in records of an older plotman. digest: of all its bytes, as rsync computed it, hex; None if
    that is unknown.
    """

    receiver: str
    size_bytes: int
    mtime_ns: int
    inode: int | None = None
    digest: str | None = None

    @classmethod
    def of(cls, status: os.stat_result, receiver: str, digest: str | None = None) -> Self:
        return cls(
            receiver=receiver,
            size_bytes=status.st_size,
            mtime_ns=status.st_mtime_ns,
            inode=status.st_ino,
            digest=digest,
        )

    def at_its_path(self, seen: Self) -> bool:
        """Whether the file at the same path is the one that was sent. Some file systems change inodes."""
        return seen.model_copy(update={"inode": self.inode, "digest": self.digest}) == self

    def moved(self, seen: Self) -> bool:
        """Whether a file at another path is the one that was sent, and no copy of it: a copy may differ. Of a
        record without an inode no file is."""
        return seen.model_copy(update={"digest": self.digest}) == self


class Delivered(Stored):
    """By path of the source, the latest last. A record of an older plotman has a harvester and no source."""

    harvesters: dict[str, str] = Field({})
    sources: dict[str, SourceFile] = Field({})


class DeliveredFile:
    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "delivered.json"
        self._seen: tuple[tuple[int, int], Delivered] = ((0, 0), Delivered())
        self._by_id: tuple[Delivered, dict[str, str]] = (Delivered(), {})

    def put(
        self, path: str, harvester: str, source: os.stat_result | None = None, digest: str | None = None
    ) -> None:
        """Remember a copy durably. Entries of sources that do not exist stay: their drive may be unmounted.

        Args:
            source: the file before it was read; None: not known.
            digest: of the source, see SourceFile.

        Raises:
            OSError: it cannot be written; the plot must not be admitted then.
        """
        self._put(path, SourceFile.of(source, harvester, digest) if source else None, harvester)

    def put_target(self, path: str, target: str, source: os.stat_result) -> None:
        """Remember a copy on an archiving target of plotman 0.5.3."""
        self._put(path, SourceFile.of(source, target), None)

    def _put(self, path: str, source: SourceFile | None, harvester: str | None) -> None:
        with self._locked():
            known = self._read()
            harvesters = dict(known.harvesters)
            if harvester is not None:
                harvesters.pop(path, None)
                harvesters[path] = harvester
            sources = {key: value for key, value in known.sources.items() if key != path}
            self._write(harvesters, {**sources, path: source} if source else sources)

    def forget(self, path: str, harvester: str) -> None:
        """Forget durably that the harvester has a copy of the plot, from this path or another. Raises
        OSError."""
        with self._locked():
            known = self._read()
            paths = _of_plot(path, known.harvesters)
            forgotten = {key for key in paths if known.harvesters[key] == harvester}
            if not forgotten:
                return
            self._write(
                {key: value for key, value in known.harvesters.items() if key not in forgotten},
                {key: value for key, value in known.sources.items() if key not in forgotten},
            )

    def has(self, path: str, receiver: str, source: os.stat_result) -> bool:
        """Whether all bytes of this file, by its lstat, were sent to the receiver, or read to be compared."""
        known = self._read()
        if path in known.harvesters and path not in known.sources:
            return known.harvesters[path] == receiver
        return self._sent(known, path, SourceFile.of(source, receiver)) is not None

    def digest(self, path: str, receiver: str, source: os.stat_result) -> str | None:
        """Digest of this file, by its lstat, if `has` is true of it and it is known."""
        sent = self._sent(self._read(), path, SourceFile.of(source, receiver))
        return sent.digest if sent else None

    @staticmethod
    def _sent(known: Delivered, path: str, seen: SourceFile) -> SourceFile | None:
        if (sent := known.sources.get(path)) is not None:
            return sent if sent.at_its_path(seen) else None
        others = (known.sources[other] for other in _of_plot(path, known.sources))
        return next((other for other in others if other.moved(seen)), None)

    def harvester_of(self, path: str) -> str | None:
        """Harvester that has all bytes of this plot; None if no transfer of it was completed."""
        known = self._read()
        if self._by_id[0] is not known:
            self._by_id = (known, {plot_id_of(key) or key: host for key, host in known.harvesters.items()})
        return known.harvesters.get(path) or self._by_id[1].get(plot_id_of(path) or path)

    def sent_from(self, path: str) -> str | None:
        """Harvester that has all bytes of the very file at this path; None if it was not sent from there.
        `harvester_of` also knows the plot by other paths: one that came to a drive of this machine was sent,
        too. Accesses the file."""
        known = self._read()
        source = known.sources.get(path)
        if source is not None:
            with contextlib.suppress(OSError):
                seen = SourceFile.of(Path(path).lstat(), source.receiver)
                return source.receiver if source.at_its_path(seen) else None
        return known.harvesters.get(path)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Lock the file against other threads and processes."""
        statefile.private_folder(self._path.parent)
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


def _of_plot(path: str, known: Iterable[str]) -> list[str]:
    """The paths under which the plot at `path` is known."""
    plot_id = plot_id_of(path)
    return [key for key in known if key == path or (plot_id is not None and plot_id_of(key) == plot_id)]
