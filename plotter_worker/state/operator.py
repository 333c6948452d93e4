"""What a person has said about starting plots here, and how often plotters died at once.

Both outlive restarts: a worker that crashes and comes back must not forget that it was told to stop, nor
begin anew with a plotter that cannot work.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict

from common.model import holds
from common.model.snapshot import Failures, Hold
from common.system import statefile


class OperatorState(BaseModel):
    """holds: by common.model.holds' keys or by directory. starts_left: how many more plots may start before
    the hold on plotting works; None: it works at once. bandwidth_bytes_s: what all transfers may take
    together; 0: no limit, None: as plotman.yaml says."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    holds: dict[str, Hold] = {}
    starts_left: int | None = None
    failures: Failures = Failures()
    last_start_at: AwareDatetime | None = None  # of a plot that did not die at once
    bandwidth_bytes_s: int | None = None
    refused: dict[str, str] = {}  # plot's path -> why a harvester did not take it

    def held(self, key: str, now: datetime) -> Hold | None:
        """A person's hold under this key, if it works now."""
        if key == holds.PLOTTING and self.starts_left:
            return None
        return holds.at_work(self.holds, key, now)

    def plotting_held(self, now: datetime) -> Hold | None:
        """Why nothing starts here, as far as persons want it."""
        return self.held(holds.PLOTTING, now) or self.held(holds.ALL, now)

    def pause_reason(self, now: datetime, utc_offset_s: int = 0) -> str | None:
        """For people; None where plots may start."""
        if (hold := self.held(holds.PLOTTING, now)) is not None:
            done = "as many plots as were asked for have been started" if self.starts_left == 0 else None
            why = ": ".join(filter(None, (done, hold.reason))) or "paused"
            return holds.words(hold.model_copy(update={"reason": why}), now, utc_offset_s)
        if (hold := self.held(holds.ALL, now)) is not None:
            return holds.sentence("it is drained", hold, now, utc_offset_s)
        return None


def steering_path(state_dir: Path) -> Path:
    return state_dir / "steering.json"


class OperatorStateFile:
    """The steering of one plotter host, in its state directory. Used by one thread at a time."""

    def __init__(self, state_dir: Path) -> None:
        self._path = steering_path(state_dir)
        self.now = statefile.read(self._path, OperatorState) or OperatorState()

    def pause(self, reason: str, after: int | None = None) -> None:
        """Start no more, or `after` more and then none."""
        self.hold(holds.PLOTTING, Hold(reason=reason or None), after)

    def hold(self, key: str, hold: Hold, after: int | None = None) -> None:
        """after: of plotting, so many more plots before."""
        if key == holds.PLOTTING:
            self._change(holds={**self.now.holds, key: hold}, starts_left=after)
        else:
            self._change(holds={**self.now.holds, key: hold})

    def unpause(self) -> None:
        """Start as the rules allow, and give plotters that died at once another try."""
        self.let_go(holds.PLOTTING)
        self._change(failures=Failures())

    def let_go(self, *keys: str) -> None:
        """These holds are over."""
        kept = {key: hold for key, hold in self.now.holds.items() if key not in keys}
        if holds.PLOTTING in keys:
            self._change(holds=kept, starts_left=None)
        elif kept != self.now.holds:
            self._change(holds=kept)

    def started(self, at: datetime) -> None:
        left = self.now.starts_left
        self._change(last_start_at=at, starts_left=None if left is None else max(0, left - 1))

    def died_at_once(self, reason: str, at: datetime) -> int:
        """Count it; how many that makes in a row."""
        count = self.now.failures.consecutive + 1
        # The pause after a failure is shorter than most staggers, which it need not wait for as well.
        self._change(failures=Failures(consecutive=count, last_at=at, last_reason=reason), last_start_at=None)
        return count

    def works(self, started_at: datetime) -> None:
        """A plotter that started then got as far as plotting.

        One that ran already when the last one died says nothing of what starts by now: were it to clear the
        count, plotters would be started and die for as long as it runs.
        """
        failures = self.now.failures
        if failures.consecutive and (failures.last_at is None or started_at > failures.last_at):
            self._change(failures=Failures())

    def refuse(self, path: str, reason: str) -> None:
        self._change(refused=self.now.refused | {path: reason})

    def allow(self, path: str) -> None:
        """A person wants a refused plot to be sent again."""
        self._change(refused={kept: why for kept, why in self.now.refused.items() if kept != path})

    def set_bandwidth(self, bytes_s: int | None) -> None:
        self._change(bandwidth_bytes_s=bytes_s)

    def forget_refused(self, keep: set[str]) -> None:
        """Drop what is no longer there."""
        kept = {path: reason for path, reason in self.now.refused.items() if path in keep}
        if kept != self.now.refused:
            self._change(refused=kept)

    def _change(self, **fields: object) -> None:
        self.now = self.now.model_copy(update=fields)
        statefile.keep(self._path, self.now, "what was last said")
