"""Which plots of this host a harvester has all the bytes of, and so may have taken in.

On this machine's disk, since the notice board may be wiped: were that forgotten, the plot would be sent to
another harvester as well, and be farmed twice. Written by the archiver, read by the plotter's worker.
"""

from __future__ import annotations

import threading
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from common import statefile


class Delivered(BaseModel):
    """harvesters: path of the source -> harvester."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    harvesters: dict[str, str] = {}


class DeliveredFile:
    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "delivered.json"
        self._lock = threading.Lock()
        self._seen: tuple[int, Delivered] = (0, Delivered())

    def put(self, path: str, harvester: str) -> None:
        """Durable when it returns. Forgets plots that are gone. Raises OSError where it cannot be written:
        the plot must not be taken in then."""
        with self._lock:
            known = self._read().harvesters
            kept = {source: host for source, host in known.items() if Path(source).exists()}
            self._path.parent.mkdir(parents=True, exist_ok=True)
            statefile.write(self._path, Delivered(harvesters=kept | {path: harvester}))

    def harvester_of(self, path: str) -> str | None:
        """Harvester that has all bytes of this plot; None where no transfer of it was completed."""
        return self._read().harvesters.get(path)

    def _read(self) -> Delivered:
        try:
            changed_ns = self._path.stat().st_mtime_ns
        except FileNotFoundError:
            return Delivered()
        if self._seen[0] != changed_ns:
            self._seen = (changed_ns, statefile.read(self._path, Delivered) or Delivered())
        return self._seen[1]
