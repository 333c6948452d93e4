"""What persons said about the drives of this host while it runs. It outlives restarts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from common.model import holds
from common.model.holds import HoldOrder
from common.model.snapshot import Hold
from common.system import statefile


class _Holds(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    holds: dict[str, Hold] = {}


class DriveHolds:
    """Holds by drive, or under common.model.holds.ALL for all of them. tell: called with a sentence when one
    comes or goes; must not wait."""

    def __init__(self, path: Path, tell: Callable[[str], None]) -> None:
        self._path = path
        self._tell = tell
        self._lock = threading.Lock()
        self._holds = (statefile.read(path, _Holds) or _Holds()).holds

    def of_host(self) -> Hold | None:
        """The hold on all drives, if it works now."""
        return holds.at_work(self._holds, holds.ALL, datetime.now(UTC))

    def of_drive(self, drive: str) -> Hold | None:
        """The hold on this drive, by itself or with all others, if it works now."""
        if not self._holds:
            return None  # asked for each drive each second
        return holds.at_work(self._holds, drive, datetime.now(UTC)) or self.of_host()

    def __contains__(self, key: object) -> bool:
        """Whether there is a hold under this key."""
        return key in self._holds

    def hold(self, order: HoldOrder, key: str, text: str) -> str:
        """Drain what `key` names. text: what that means, for people; the answer has all."""
        now = datetime.now(UTC)
        told = holds.sentence(text, order.hold(now), now, holds.utc_offset_s())
        with self._lock:
            self._change({**self._holds, key: order.hold(now)})
        self._tell(told)
        return told

    def let_go(self, keys: Sequence[str], text: str, more: str = "") -> str:
        """The opposite. The answer tells what still holds.

        text: what the host does from now on. more: words that follow it.
        """
        with self._lock:
            self._drop(set(keys))
        self._tell(text + more)
        still = "" if self.of_host() is None else ", but all drives of the host are drained"
        return text + still + more

    def drains(self) -> list[str]:
        """Keys of the drains that hold now."""
        return holds.drains(self._holds, datetime.now(UTC))

    def expire(self) -> None:
        """Forget what ended by itself, and tell."""
        with self._lock:
            ended = holds.over(self._holds, datetime.now(UTC))
            if ended:
                self._drop(ended)
        for key in ended:
            what = "its drives take" if key == holds.ALL else f"{key} takes"
            self._tell(f"{what} plots again: the time is over that was said")

    def _drop(self, keys: set[str]) -> None:
        self._change({key: hold for key, hold in self._holds.items() if key not in keys})

    def _change(self, changed: dict[str, Hold]) -> None:
        self._holds = changed
        statefile.keep(self._path, _Holds(holds=changed), "what was last said")
