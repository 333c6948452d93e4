"""Operator holds on the drives of this host. They survive restarts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import Field

from common.model import holds
from common.model.holds import HoldOrder
from common.model.snapshot import Hold
from common.system import statefile
from common.system.statefile import Stored


class _Holds(Stored):
    holds: dict[str, Hold] = Field({})


class DriveHolds:
    """Holds by drive, or under common.model.holds.ALL for all drives. publish: called with a sentence for
    each change; must not wait."""

    def __init__(self, path: Path, publish: Callable[[str], None]) -> None:
        self._path = path
        self._publish = publish
        self._lock = threading.Lock()
        self._holds = (statefile.read(path, _Holds) or _Holds()).holds

    def of_host(self) -> Hold | None:
        """The hold on all drives that is in force; None: there is none."""
        return holds.at_work(self._holds, holds.ALL, datetime.now(UTC))

    def of_drive(self, drive: str) -> Hold | None:
        """The hold on this drive, or on all, that is in force; None: there is none."""
        if not self._holds:
            return None  # runs for each drive each second
        return holds.at_work(self._holds, drive, datetime.now(UTC)) or self.of_host()

    def __contains__(self, key: object) -> bool:
        """Whether there is a hold under this key."""
        return key in self._holds

    def hold(self, order: HoldOrder, key: str, text: str) -> str:
        """Add a hold.

        Args:
            order: With author, reason and end.
            key: The drive, or holds.ALL.
            text: What the hold does, for operators.

        Returns:
            The whole sentence.
        """
        now = datetime.now(UTC)
        sentence = holds.sentence(text, order.hold(now), now, holds.utc_offset_s())
        with self._lock:
            self._change({**self._holds, key: order.hold(now)})
        self._publish(sentence)
        return sentence

    def change_reason(self, key: str, reason: str) -> None:
        """Replace the reason of a hold, and remove its end. No-op without one."""
        with self._lock:
            if (hold := self._holds.get(key)) is not None:
                update = {"reason": reason, "until": None}
                self._change({**self._holds, key: hold.model_copy(update=update)})

    def lift(self, keys: Sequence[str], text: str, more: str = "") -> str:
        """Remove holds.

        Args:
            keys: The drives, or holds.ALL.
            text: What the host does from now on.
            more: Words after it.

        Returns:
            A sentence that names a hold on the whole host, if that is still in force.
        """
        with self._lock:
            self._drop(set(keys))
        self._publish(text + more)
        still = "" if self.of_host() is None else ", but all drives of the host are drained"
        return text + still + more

    def drains(self) -> list[str]:
        """Keys of the drains that are in force."""
        return holds.drains(self._holds, datetime.now(UTC))

    def expire(self) -> None:
        """Remove holds that have expired, and publish that."""
        with self._lock:
            ended = holds.over(self._holds, datetime.now(UTC))
            if ended:
                self._drop(ended)
        for key in ended:
            what = "its drives take" if key == holds.ALL else f"{key} takes"
            self._publish(f"{what} plots again: the hold has expired")

    def _drop(self, keys: set[str]) -> None:
        self._change({key: hold for key, hold in self._holds.items() if key not in keys})

    def _change(self, changed: dict[str, Hold]) -> None:
        self._holds = changed
        statefile.keep(self._path, _Holds(holds=changed), "the holds")
