"""Rows of the history: plots, transfers, and plots that arrived.

Sizes are in bytes, durations in seconds, times are aware UTC. None: not known. Releases only add fields, each
with a column of the same name (schema).
"""

from __future__ import annotations

import json
import re
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator

from common.model.figures import Moment, Notice, Number, Whole
from common.model.snapshot import age_s
from common.model.units import plausible_s

_Seconds = Annotated[float | None, AfterValidator(plausible_s)]

END_STEP = "end"  # in `PlotEnd.steps_s`, beside phases
_STEP = re.compile(rf"\d{{1,2}}:\d{{1,2}}|{END_STEP}", re.ASCII)
_MOST_STEPS = 64  # more than any plotter's log has


def _steps_of(value: Any) -> dict[str, float] | None:
    """What is usable of `value`: a table, or its JSON as the history file has it."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    if not isinstance(value, dict) or len(value) > _MOST_STEPS:
        return None
    named = {name: at_s for name, at_s in value.items() if isinstance(name, str) and _STEP.fullmatch(name)}
    return {
        name: float(at_s)
        for name, at_s in named.items()
        if type(at_s) in (int, float) and plausible_s(at_s) is not None
    }


class HistoryKind(StrEnum):
    """A table of the history."""

    PLOTS = "plots"
    TRANSFERS = "transfers"
    LANDINGS = "landings"


class End(StrEnum):
    """An outcome."""

    DONE = "done"  # a plot is complete
    FAILED = "failed"
    KILLED = "killed"  # by an operator or a policy
    LOST = "lost"  # the machine went down while it ran
    UNKNOWN = "unknown"  # a plotter without a log, started by another program, which got its exit code
    SENT = "sent"  # the harvester has all bytes, and has not admitted the plot yet
    ARCHIVED = "archived"
    REFUSED = "refused"  # by the harvester: the plot is bad
    LANDED = "landed"
    REPLACED = "replaced"  # an old plot was deleted, for new ones


BAD = frozenset({End.FAILED, End.KILLED, End.LOST, End.REFUSED})


class _Row(Notice):
    """Fields of all rows. key: equal for repeated reports of one outcome."""

    key: str
    host: str
    ended_at: Moment
    end: End
    started_at: Moment | None = None
    plot_id: str | None = None
    path: str | None = None
    size_bytes: Whole | None = None
    reason: str | None = None  # of a failure

    def merged(self, later: Notice) -> Self:
        """Merge a later report into this row. The same outcome only fills unknown fields; another outcome
        replaces the first, and keeps fields that only the first one had."""
        first, last = self.model_dump(), later.model_dump()
        if last["end"] == first["end"]:
            first, last = last, first
        known = {name: value for name, value in last.items() if value is not None}
        return self.model_validate(first | known)


class PlotEnd(_Row):
    """A plot that was made or failed. path: of the complete file. key: task and plot."""

    task_id: str
    plotter: str
    mode: str | None = None  # of a plotter with several modes: diskplot, cudaplot, ...
    version: str | None = None  # of the plotter, from its log
    k: Whole | None = None
    compression: Whole | None = None
    tmp: str | None = None
    tmp2: str | None = None
    dst: str | None = None
    threads: Whole | None = None
    buckets: Whole | None = None
    buffer_mib: Whole | None = None
    bitfield: bool | None = None  # chia's; None for plotters that know none
    ordered_at: Moment | None = None
    phase1_s: _Seconds = None
    phase2_s: _Seconds = None
    phase3_s: _Seconds = None
    phase4_s: _Seconds = None
    copy_s: _Seconds = None
    total_s: _Seconds = None  # from the plotter's log
    log: str | None = None
    # When each step began ("1:1") and when the plot was complete ("end"), in seconds from the start, without
    # the time while it was suspended or waited for space. Empty: it was, and the steps are not known.
    steps_s: Annotated[dict[str, float] | None, BeforeValidator(_steps_of)] = None

    @property
    def wall_s(self) -> float | None:
        """Seconds from the start of the process to its end; not negative if the clock was set back."""
        return None if self.started_at is None else age_s(self.started_at, self.ended_at)


class TransferEnd(_Row):
    """A transfer from a plotter to a drive. path: of the source.

    The plotter's file has a row for each plot that was archived or refused, the archiver's file one for each
    attempt (sent or failed).
    """

    harvester: str | None = None  # or an archiving target
    drive: str | None = None
    landed: str | None = None
    reserve_s: _Seconds = None
    transfer_s: _Seconds = None
    admit_s: _Seconds = None
    sent_bytes: Whole | None = None
    rate_bytes_s: Number | None = None
    attempts: Whole | None = None
    verified: str | None = None


class LandingEnd(_Row):
    """A plot that arrived at this harvester, or was replaced there. path: on its drive."""

    source_host: str | None = None
    source: str | None = None
    drive: str | None = None
    admit_s: _Seconds = None
    transfer_s: _Seconds = None
    sent_bytes: Whole | None = None
    verified: str | None = None


Row = PlotEnd | TransferEnd | LandingEnd

ROW_OF_KIND: dict[HistoryKind, type[PlotEnd | TransferEnd | LandingEnd]] = {
    HistoryKind.PLOTS: PlotEnd,
    HistoryKind.TRANSFERS: TransferEnd,
    HistoryKind.LANDINGS: LandingEnd,
}


def kind_of(row: Row) -> HistoryKind:
    """The table that a row belongs to."""
    return next(kind for kind, model in ROW_OF_KIND.items() if type(row) is model)
