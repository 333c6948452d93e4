"""What is kept of a plot, of a transfer, and of a plot that arrived. Sizes in bytes, durations in seconds,
times aware UTC; None: not known. Fields are only ever added, each with a column of the same name (schema)."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import AwareDatetime

from common.model.snapshot import Notice, age_s


class HistoryKind(StrEnum):
    """A table of the history."""

    PLOTS = "plots"
    TRANSFERS = "transfers"
    LANDINGS = "landings"


class End(StrEnum):
    """How it ended."""

    DONE = "done"  # a plot is complete
    FAILED = "failed"
    KILLED = "killed"  # somebody stopped it
    LOST = "lost"  # the machine went down while it ran
    UNKNOWN = "unknown"  # a plotter without a log, whose exit code went to somebody else
    SENT = "sent"  # the harvester has all bytes; whether it takes the plot in is not said yet
    ARCHIVED = "archived"
    REFUSED = "refused"  # the harvester found that it is no good
    LANDED = "landed"


BAD = frozenset({End.FAILED, End.KILLED, End.LOST, End.REFUSED})


class _Row(Notice):
    """key: the same however often this end is told of."""

    key: str
    host: str
    ended_at: AwareDatetime
    end: End
    started_at: AwareDatetime | None = None
    plot_id: str | None = None
    path: str | None = None
    size_bytes: int | None = None
    reason: str | None = None  # why it did not end well

    def merged(self, later: Notice) -> Self:
        """This row, told again. A first end stands, what it did not know is filled in; another end takes its
        place, and keeps what only the first one knew."""
        first, last = self.model_dump(), later.model_dump()
        if last["end"] == first["end"]:
            first, last = last, first
        known = {name: value for name, value in last.items() if value is not None}
        return self.model_validate(first | known)


class PlotEnd(_Row):
    """A plot that was made, or should have been. path: its file, once it is complete. key: task and plot."""

    task_id: str
    plotter: str
    mode: str | None = None  # of a plotter with several, as far as it is known: diskplot, cudaplot, ...
    version: str | None = None  # of the plotter, as far as its log tells
    k: int | None = None
    compression: int | None = None
    tmp: str | None = None
    tmp2: str | None = None
    dst: str | None = None
    threads: int | None = None
    buckets: int | None = None
    buffer_mib: int | None = None
    bitfield: bool | None = None  # chia's; None for plotters that know none
    ordered_at: AwareDatetime | None = None
    phase1_s: float | None = None
    phase2_s: float | None = None
    phase3_s: float | None = None
    phase4_s: float | None = None
    copy_s: float | None = None
    total_s: float | None = None  # as the plotter tells it
    log: str | None = None

    @property
    def wall_s(self) -> float | None:
        """From the start of its process to its end; clocks are set back now and then."""
        return None if self.started_at is None else age_s(self.started_at, self.ended_at)


class TransferEnd(_Row):
    """A plot's way from its plotter to a drive; path: its source.

    In the plotter's file one row for each plot that was archived or refused; in the archiver's one for each
    try (sent or failed). attempts: tries that it took.
    """

    harvester: str | None = None  # or target, as beat names it
    drive: str | None = None
    landed: str | None = None
    reserve_s: float | None = None
    transfer_s: float | None = None
    admit_s: float | None = None
    sent_bytes: int | None = None
    rate_bytes_s: float | None = None
    attempts: int | None = None
    verified: str | None = None


class LandingEnd(_Row):
    """A plot that came to this harvester; path: where it lies."""

    source_host: str | None = None
    source: str | None = None
    drive: str | None = None
    admit_s: float | None = None
    transfer_s: float | None = None
    sent_bytes: int | None = None
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
