"""Operators' orders to a plotter host, and how often its plotters died at once: the values, and their file.

Both survive restarts: a worker that comes back after a crash must still know that it is paused, and must not
start a plotter again that cannot work.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from pydantic import AwareDatetime, Field

from common.model import holds
from common.model.snapshot import Failures, Hold
from common.system import statefile
from common.system.statefile import Stored

_COUNTED = 1000  # more than a host runs at a time
_CLOCK_STEP = timedelta(seconds=2)


class OperatorState(Stored):
    """Each method returns the changed state.

    Attributes:
        holds: by common.model.holds' keys or by directory.
        starts_left: plots that may start before the hold on plotting takes effect; None: it is in effect.
        counted: task ids of the last starts that were counted; None: by an older plotman, they are not known.
        failures: plotters that died at once, in a row.
        last_start_at: of a plot that did not die at once.
        bandwidth_bytes_s: limit of all transfers together; 0: no limit, None: as plotman.yaml says.
        refused: path of a plot -> why a harvester refused it.
    """

    holds: dict[str, Hold] = Field({})
    starts_left: int | None = None
    counted: tuple[str, ...] | None = None
    failures: Failures = Failures()
    last_start_at: AwareDatetime | None = None
    bandwidth_bytes_s: int | None = None
    refused: dict[str, str] = Field({})

    def held(self, key: str, now: datetime) -> Hold | None:
        """The hold under this key, if it is in effect."""
        if key == holds.PLOTTING and self.starts_left:
            return None
        return holds.at_work(self.holds, key, now)

    def plotting_held(self, now: datetime) -> Hold | None:
        """The operator's hold that keeps plots from starting here."""
        return self.held(holds.PLOTTING, now) or self.held(holds.ALL, now)

    def coming_pause(self, now: datetime) -> Hold | None:
        """The pause that begins after `starts_left` more plots."""
        return holds.at_work(self.holds, holds.PLOTTING, now) if self.starts_left else None

    def pause_reason(self, now: datetime, utc_offset_s: int = 0) -> str | None:
        """Text for operators; None if plots may start."""
        if (hold := self.held(holds.PLOTTING, now)) is not None:
            done = "as many plots as were asked for have been started" if self.starts_left == 0 else None
            why = ": ".join(filter(None, (done, hold.reason))) or "paused"
            return holds.words(hold.model_copy(update={"reason": why}), now, utc_offset_s)
        if (hold := self.held(holds.ALL, now)) is not None:
            return holds.sentence("the host is drained", hold, now, utc_offset_s)
        return None

    def with_hold(self, key: str, hold: Hold, after: int | None = None) -> Self:
        """Hold what `key` names; plotting only after `after` more starts."""
        left = after if key == holds.PLOTTING else self.starts_left
        return self._with(holds={**self.holds, key: hold}, starts_left=left)

    def pausing_after(self, starts: int, by: str | None = None) -> Self:
        """Plotting is paused after this number of starts. by: who is named for it."""
        return self.with_hold(holds.PLOTTING, Hold(by=by), starts)

    def without_holds(self, *keys: str) -> Self:
        kept = {key: hold for key, hold in self.holds.items() if key not in keys}
        return self._with(holds=kept, starts_left=None if holds.PLOTTING in keys else self.starts_left)

    def unpaused(self) -> Self:
        """Plots start as the rules allow, also after plotters that died at once."""
        return self.without_holds(holds.PLOTTING)._with(failures=Failures())

    def after_start(self, at: datetime, task_id: str) -> Self:
        """Count a start, once: a worker that was killed right after a launch may not have counted it."""
        counted = self.counted or ()
        if task_id in counted:
            return self
        left = self.starts_left
        return self._with(
            last_start_at=max(filter(None, (self.last_start_at, at))),
            starts_left=None if left is None else max(0, left - 1),
            counted=(*counted, task_id)[-_COUNTED:],
        )

    def with_counted(self, task_ids: Sequence[str]) -> Self:
        """These starts are counted, if nothing is known of any."""
        return self if self.counted is not None else self._with(counted=tuple(task_ids)[-_COUNTED:])

    def after_failure(self, reason: str, at: datetime) -> Self:
        """A plotter died at once."""
        count = self.failures.consecutive + 1
        # The pause after a failure replaces the stagger, which is mostly longer.
        return self._with(
            failures=Failures(consecutive=count, last_at=at, last_reason=reason), last_start_at=None
        )

    def after_success(self, started_at: datetime) -> Self:
        """A plotter that started then is plotting.

        Only a plotter that started after the last failure clears the count: an older one may run for hours
        while each new one dies.
        """
        failures = self.failures
        if failures.consecutive and (failures.last_at is None or started_at > failures.last_at):
            return self._with(failures=Failures())
        return self

    def not_after(self, now: datetime) -> Self:
        """Replace times in the future by `now`: the clock was set back since. Otherwise the stagger, or the
        pause after a failure, would last until that time."""
        soon = now + _CLOCK_STEP
        last, failed = self.last_start_at, self.failures.last_at
        changed: dict[str, object] = {}
        if last is not None and last > soon:
            changed["last_start_at"] = now
        if failed is not None and failed > soon:
            changed["failures"] = self.failures.model_copy(update={"last_at": now})
        return self._with(**changed) if changed else self

    def with_refused(self, path: str, reason: str) -> Self:
        return self._with(refused=self.refused | {path: reason})

    def with_refused_only(self, paths: Collection[str]) -> Self:
        """Of the refused plots only these stay refused."""
        return self._with(refused={path: why for path, why in self.refused.items() if path in paths})

    def with_bandwidth(self, bytes_s: int | None) -> Self:
        return self._with(bandwidth_bytes_s=bytes_s)

    def _with(self, **fields: object) -> Self:
        return self.model_copy(update=fields)


Change = Callable[[OperatorState], OperatorState]


class OperatorStateFile:
    """The operator state on disk. Used by one thread at a time."""

    def __init__(self, state_dir: Path) -> None:
        self._path = operator_state_path(state_dir)
        self.state = statefile.read(self._path, OperatorState) or OperatorState()

    def change(self, change: Change) -> bool:
        """Change and store the state; False if it stays the same."""
        before, self.state = self.state, change(self.state)
        if self.state == before:
            return False
        statefile.keep(self._path, self.state, "the operator's last order")
        return True


def operator_state_path(state_dir: Path) -> Path:
    return state_dir / "steering.json"
