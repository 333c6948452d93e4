"""The orders to evacuate drives of this host. They survive restarts."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from common.model.messages import EvacuateOrder
from common.model.snapshot import Hold
from common.system import evacuations, statefile
from common.system.evacuations import EvacuationOrder, EvacuationOrders


class KeptOrders:
    """The orders by drive, as in the file (common.system.evacuations). For several threads. Each change is
    durable when its method has returned."""

    def __init__(self, state_dir: Path) -> None:
        self._file = evacuations.orders_file(state_dir)
        self._lock = threading.Lock()
        self._drives = evacuations.ordered(state_dir)

    def all(self) -> dict[str, EvacuationOrder]:
        return dict(self._drives)

    def of(self, drive: str) -> EvacuationOrder | None:
        return self._drives.get(drive)

    def hold_of(self, drive: str) -> Hold | None:
        """The hold by which the drive takes no plots while it is evacuated."""
        order = self._drives.get(drive)
        if order is None:
            return None
        return Hold(reason=order.reason or "it is evacuated", by=order.by, since=order.since)

    def add(self, order: EvacuateOrder, plots: int, size_bytes: int) -> EvacuationOrder:
        """Keep an order durably. Of a drive that is evacuated already, only destinations, author and reason
        are replaced, and refused plots are tried again.

        Args:
            plots: number of plots on the drive.
            size_bytes: of all of them.

        Raises:
            OSError: it cannot be kept; there is none then.
        """
        asked = order.model_dump(include={"to", "by", "reason", "bandwidth_bytes_s"})
        with self._lock:
            known = self._drives.get(order.dir)
            if known is not None:
                made = known.model_copy(update={**asked, "ending": False, "refused": {}})
            else:
                made = EvacuationOrder(
                    id=uuid4().hex, since=datetime.now(UTC), plots=plots, size_bytes=size_bytes, **asked
                )
            self._write({**self._drives, order.dir: made})
        return made

    def change(self, drive: str, **changes: Any) -> None:
        """Change fields of an order durably. No-op without one. Raises OSError."""
        with self._lock:
            if (known := self._drives.get(drive)) is not None:
                self._write({**self._drives, drive: known.model_copy(update=changes)})

    def refuse(self, drive: str, refused: dict[str, str]) -> None:
        """Remember plots that were refused, by name, with the reason. Raises OSError."""
        if (known := self._drives.get(drive)) is not None and refused.items() - known.refused.items():
            self.change(drive, refused={**known.refused, **refused})

    def remove(self, drive: str) -> None:
        """Forget an order durably. Raises OSError."""
        with self._lock:
            self._write({path: order for path, order in self._drives.items() if path != drive})

    def _write(self, drives: dict[str, EvacuationOrder]) -> None:
        if drives:
            statefile.private_folder(self._file.parent)
            statefile.write(self._file, EvacuationOrders(drives=drives))
        else:
            self._file.unlink(missing_ok=True)
            statefile.make_durable(self._file.parent)
        self._drives = drives
