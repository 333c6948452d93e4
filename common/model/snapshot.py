"""The contract of the notice board: host snapshots, beat's waits, and events.

- Each role of a host (plotter, archiver, harvester) writes one snapshot, which replaces the one before.
- Beat writes `Waits`: what does not happen now, and why.
- Every process appends an `Event` to the stream when something happens.

All models are frozen and travel as JSON. A reader ignores unknown fields, so that two neighbouring releases
understand each other. `version` grows when a field changes its meaning.
Sizes are in bytes, durations in seconds, times are aware UTC. None means "not known" where nothing else is
stated.

Longer than 300 lines, because two versions of the contract are compared as a whole.
"""

# No `from __future__ import annotations`: pydantic would compile each annotation by itself, which takes a
# fifth of the time that it needs for a model.

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, ConfigDict, Field

from common.model.figures import (
    EVACUATING_MAX,
    FEW,
    JOBS_MAX,
    LONGEST_REASON,
    MANY,
    PLOTS_MAX,
    Bytes,
    Count,
    Eta,
    JobsMost,
    Made,
    Moment,
    MovesAtOnce,
    Name,
    Notice,
    Number,
    Path,
    Percent,
    PlotId,
    Rate,
    Space,
    UtcOffset,
    Whole,
)
from common.model.phase import Phase
from common.model.plot_class import InventorySums
from common.model.replot_report import ReplotReport
from common.model.windows import LONGEST_WINDOW
from common.names import Role

VERSION = 1


class DirState(StrEnum):
    """State of a directory or drive. Only `OK` may be written to."""

    OK = "ok"
    MISSING = "missing"
    NOT_MOUNTED = "not mounted"
    READ_ONLY = "read-only"
    HANGING = "hanging"  # it did not answer within its deadline
    UNKNOWN = "unknown"  # not probed yet


class Hold(Notice):
    """An operator's pause or drain: nothing new begins on a host, in a directory or on a drive."""

    # Cut: it is repeated in the wait of each plot.
    reason: Annotated[str | None, AfterValidator(lambda text: text and text[:LONGEST_REASON])] = None
    by: str | None = None  # user@machine
    since: Moment | None = None
    until: Moment | None = None  # when it expires; None: it holds until it is lifted


class Directory(Notice):
    """A tmp, tmp2 or dst directory of a plotter, as its own probe saw it last."""

    path: Path
    state: DirState = DirState.UNKNOWN
    free_bytes: Space = None  # what an unprivileged user may still write (f_bavail)
    total_bytes: Space = None
    device: str | None = None  # its file system: directories on one device share its bytes
    drained: Hold | None = None  # it takes no new plots


class TmpDir(Directory):
    """A tmp directory with its limits, overrides applied.

    A new job may start while fewer than `max_jobs` jobs run in it, and fewer than `stagger_limit` of them are
    before `stagger_phase`.
    """

    max_jobs: JobsMost
    stagger_phase: Phase
    stagger_limit: Whole


D = TypeVar("D", bound=Directory)


def _each_once(directories: tuple[D, ...]) -> tuple[D, ...]:
    """Refuse equal paths: a job whose directory is not known counts in each of them."""
    if len({directory.path.rstrip("/") for directory in directories}) < len(directories):
        raise ValueError("it has a directory twice")
    return directories


class Recipe(Notice):
    """The next plot that this host would make, and the space it needs."""

    plotter: str  # chia, chiapos, madmax, bladebit
    k: Whole
    tmp_bytes: Whole  # peak in tmp
    tmp2_bytes: Whole  # peak in tmp2; without a tmp2 it is part of tmp_bytes
    dst_bytes: Whole  # the finished plot


class RunStatus(StrEnum):
    """State of a plotter process, as plotman 0.5.3's `status` abbreviates it."""

    RUNNING = "RUN"
    SLEEPING = "SLP"
    DISK = "DSK"
    STOPPED = "STP"
    OTHER = "???"


class Job(Notice):
    """A running plotter process."""

    task_id: Name
    plotter: str
    pid: Whole
    started_at: Moment
    ours: bool  # started by plotman; False: by hand, or by another manager
    plot_id: PlotId = None
    k: Whole | None = None
    gpu: Annotated[str, Field(max_length=64)] | None = None  # empty: not known which; None: it uses none
    phase: Phase | None = None
    percent: Percent = None
    eta_s: Eta = None
    tmp: Path | None = None
    tmp2: Path | None = None
    dst: Path | None = None
    log: Path | None = None
    proven: bool = False  # it has begun to plot, so a failure from now on is no fault of the set-up
    stalled: str | None = None  # what it waits for without end, as the plotter's log puts it
    status: RunStatus = RunStatus.OTHER
    tmp_used_bytes: Bytes = 0
    tmp_to_come_bytes: Whole = 0  # what it will still take in tmp until its peak
    tmp2_to_come_bytes: Whole = 0
    dst_to_come_bytes: Whole = 0
    mem_bytes: Bytes = 0
    user_s: Number = 0
    sys_s: Number = 0
    iowait_s: Number = 0


class PlotState(StrEnum):
    """State of a finished plot's file in a dst directory. Only `READY` is archived."""

    READY = "ready"
    OPEN = "open"  # a process still writes it
    TRUNCATED = "truncated"
    FOREIGN = "foreign"  # named like a plot, but not a plot
    MISNAMED = "misnamed"  # a plot whose file has the name of another plot, or no plot name
    REFUSED = "refused"  # a harvester refused it; kept until an operator decides


class FinishedPlot(Notice):
    """A file in a dst directory with the name of a plot."""

    path: Path
    size_bytes: Whole
    state: PlotState
    since: Moment  # when it was first seen in this state
    plot_id: PlotId = None
    k: Whole | None = None
    reason: str | None = None  # why it is not ready, for operators
    copied_to: str | None = None  # harvester that has all its bytes, and may have admitted it


class Failures(Notice):
    """Plotters that failed right after their start, since the last one that began to plot."""

    consecutive: Whole = 0
    last_at: Moment | None = None
    last_reason: str | None = None


class Tally(Notice):
    """Plots that this host made or sent lately, counted from its history."""

    hours_count: Annotated[
        tuple[Made, ...], FEW
    ] = ()  # one item for each of the last 24 hours, the oldest first
    hours_bytes: Annotated[tuple[Bytes, ...], FEW] = ()
    day_count: Made = 0  # of the last 24 hours
    day_bytes: Bytes = 0
    week_count: Made = 0  # of the last 7 days
    week_bytes: Bytes = 0
    since: Moment | None = None  # the oldest that was counted: a young host has less than a week


class Leftovers(Notice):
    """Unfinished files in a plotter's directories that belong to no job. A rough count; `plotman cleanup`
    examines each file."""

    bytes: Whole
    files: Whole
    dirs: Whole


class RefusedOrder(Notice):
    """Beat's last order, which the host refused, and no plot has started since. reason: a sentence."""

    at: Moment
    reason: str


class HostSnapshot(Notice):
    """What the snapshots of all roles have."""

    version: Whole = VERSION
    host: Name
    at: Moment
    # How far the host's clock is ahead of Redis'. The other times are by Redis' clock; where this is None, by
    # the host's.
    clock_skew_s: Number | None = None
    problems: Annotated[tuple[str, ...], FEW] = ()  # what its owner should correct, one sentence each
    full_folders: Annotated[tuple[str, ...], FEW] = ()  # of its plotman, one sentence each
    messages_tls: bool | None = None  # whether it reaches Redis by TLS; None: not known, or by no network
    stopped: bool = False  # the last snapshot of a worker that was stopped in order


class PlotterSnapshot(HostSnapshot):
    """A plotter host: its jobs, directories and limits."""

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    # It changes with every job that starts here. An order for another token is void.
    start_token: str = Field(alias="turn")
    plotting: bool  # False: nothing starts here
    pause_reason: str | None = None  # why not, for operators
    paused: Hold | None = None  # set if an operator paused or drained the host
    drained: Hold | None = None  # set if an operator drained it: `paused` is this hold, or a pause besides
    archiving_paused: Hold | None = None  # no more transfers begin
    windows: Annotated[
        tuple[Annotated[str, Field(max_length=LONGEST_WINDOW)], ...], FEW
    ] = ()  # hours for starting, in the host's local time; empty: at any time
    utc_offset_s: UtcOffset = 0  # of the local time: how far it is ahead of UTC now
    starts_left: Whole | None = None  # how many more plots may start; None: no limit
    starts_hold: Hold | None = None  # the pause that begins after `starts_left` more plots
    global_max_jobs: JobsMost
    global_stagger_s: Number
    gpus: Annotated[
        tuple[Annotated[str, Field(max_length=64)], ...], FEW
    ] = ()  # of the next plots; empty: they need none, or it is not known
    jobs_per_gpu: Annotated[int, Field(ge=0, le=1000)] = 1
    recipe: Recipe
    check_room: bool = True
    failure_limit: Whole = 3
    failure_pause_s: Number = 60
    failures: Failures = Failures()
    last_start_at: Moment | None = None  # the stagger counts from here, even if that job has ended
    refused: RefusedOrder | None = None
    tmp_dirs: Annotated[tuple[TmpDir, ...], FEW, AfterValidator(_each_once)]
    tmp2: Directory | None = None
    dst_dirs: Annotated[
        tuple[Directory, ...], FEW, AfterValidator(_each_once)
    ] = ()  # empty if none is configured: plots stay in tmp2, or else in tmp
    jobs: Annotated[tuple[Job, ...], Field(max_length=JOBS_MAX, fail_fast=True)] = ()
    plots: Annotated[
        tuple[FinishedPlot, ...], MANY, AfterValidator(lambda plots: plots[:PLOTS_MAX])
    ] = ()  # more than PLOTS_MAX are left out
    archiving: bool = False
    harvesters: Annotated[tuple[str, ...], MANY] = ()  # hosts that may take the plots; empty: any
    moves_at_once: MovesAtOnce = 1  # how many plots may be sent from here at a time
    leftovers: Leftovers | None = None
    tally: Tally | None = None  # of plots made

    @property
    def pause_text(self) -> str:
        """Why nothing starts here, for operators: `paused: new fan (anna@desk)`; empty if plots may start."""
        reason = "" if self.plotting else self.pause_reason or "paused"
        # A pause without a reason and a drain have their own words.
        is_drain = self.drained is not None and self.paused == self.drained
        return reason if not reason or is_drain or reason.startswith("paused") else f"paused: {reason}"


class Transfer(Notice):
    """A plot on its way from this host to a drive."""

    path: Path  # source
    plot_id: PlotId
    size_bytes: Whole
    harvester: str
    drive: str
    started_at: Moment
    sent_bytes: Bytes = 0
    rate_bytes_s: Rate = None
    eta_s: Eta = None
    # Nothing is sent: the source is read, to compare it with a file of its id on the drive. Bytes, rate and
    # ETA belong to the reading.
    compares: bool = False
    compared_with: str | None = None  # that file; None: not known, as from an older plotman


class TargetSpace(Notice):
    """A folder that takes plots, as the disk space script of an archiving target reported it."""

    path: str
    free_bytes: Whole


class TargetReport(Notice):
    """An archiving target as in plotman 0.5.3: scripts move the plots, no harvester worker is involved."""

    name: str
    place: str  # equal for targets that are one place, so that bytes on their way there are counted once
    spaces: Annotated[tuple[TargetSpace, ...], FEW] = ()
    asked_at: Moment | None = None  # when `spaces` were reported last
    trouble: str | None = None  # why the free space is not known; None: it is, or was not asked yet
    elsewhere: str | None = None  # a running transfer that this archiver did not start


class ArchiverSnapshot(HostSnapshot):
    """The archiver of a plotter host: what it sends now."""

    transfers: Annotated[tuple[Transfer, ...], MANY] = ()
    bandwidth_bytes_s: Whole | None = None  # limit of all transfers together; None: no limit
    target: TargetReport | None = None  # None: harvesters take the plots
    routed: Annotated[
        tuple[str, ...], MANY
    ] = ()  # harvesters with a route of their own, which open no receiver for it
    tally: Tally | None = None  # of plots sent


class DriveUse(StrEnum):
    """What the owner of a farming drive uses it for; independent of its state."""

    ACTIVE = "active"
    DRAINING = "draining"  # takes no new plots; those on their way still arrive
    DISABLED = "disabled"  # neither written nor read


class DiskHealth(Notice):
    """What the disk below a farming drive says of itself by S.M.A.R.T. Of several disks, as in a RAID, the
    worst figures.

    names: below /dev. fails: whether one expects to fail. None: it does not say.
    """

    names: Annotated[tuple[str, ...], FEW]
    model: str | None = None
    fails: bool | None = None
    temperature_c: Annotated[int, Field(ge=-100, le=200)] | None = None
    powered_on_h: Whole | None = None


class Drive(Directory):
    """A farming drive. Part files hold their bytes, so `free_bytes` does not contain `reserved_bytes`."""

    use: DriveUse = DriveUse.ACTIVE
    full: bool = False  # even the smallest plot size on the host's drives would not fit
    plots: Count = 0
    reserved_bytes: Bytes = 0
    incoming: Count = 0  # part files
    state_since: Moment | None = None  # since when `word` holds, at the earliest the worker's start
    disk: DiskHealth | None = None  # None: not known, as where smartctl is missing

    @property
    def takes_plots(self) -> bool:
        """Whether new plots may go there, if they fit."""
        return self.state is DirState.OK and self.use is DriveUse.ACTIVE

    @property
    def lost(self) -> bool:
        """Whether its state is known and bad. A drive that its owner disabled is not probed, and not lost."""
        return self.use is not DriveUse.DISABLED and self.state not in (DirState.OK, DirState.UNKNOWN)

    @property
    def counted_plots(self) -> int | None:
        """Number of its plots; None if it cannot be read, so that nobody can know."""
        unread = (DirState.MISSING, DirState.NOT_MOUNTED, DirState.HANGING, DirState.UNKNOWN)
        return None if self.state in unread else self.plots

    @property
    def word(self) -> str:
        """Its use and state in one word: active, full, draining, disabled, or what is wrong with it."""
        if self.use is DriveUse.DISABLED:
            return self.use.value  # it is not probed, so nothing else is known
        if self.state is not DirState.OK:
            return self.state.value
        return "full" if self.full and self.use is DriveUse.ACTIVE else self.use.value


class Evacuating(Notice):
    """A farming drive whose plots are moved to other drives."""

    drive: str
    since: Moment
    to: Annotated[tuple[str, ...], FEW] = ()  # HOST or HOST:/DRIVE; empty: anywhere
    by: str | None = None
    reason: str | None = None
    ending: bool = False  # an operator has ended it
    total_plots: Whole = 0  # at the beginning
    total_bytes: Whole = 0
    left_plots: Whole | None = None
    left_bytes: Whole | None = None
    stays: Annotated[tuple[str, ...], FEW] = ()  # files that stay, and why, a line each
    stays_count: Whole = 0
    stays_plots: Whole = 0  # of these, those that total_plots counts and left_plots does not
    # The next ones to be moved, in this order; not all.
    plots: Annotated[
        tuple[FinishedPlot, ...], MANY, AfterValidator(lambda plots: plots[:EVACUATING_MAX])
    ] = ()

    def eta_s(self, now: datetime) -> float | None:
        """Seconds until the last plot has left, at the pace so far; None: not known."""
        if self.left_bytes is None or self.left_bytes >= self.total_bytes:
            return None
        return age_s(self.since, now) * self.left_bytes / (self.total_bytes - self.left_bytes)


class HarvesterSnapshot(HostSnapshot):
    """A harvester host and its drives."""

    drives: Annotated[tuple[Drive, ...], MANY]
    drained: Hold | None = None  # none of the drives takes new plots
    plots_tls: bool | None = None  # whether its receiver takes plots by TLS only; None: not known
    utc_offset_s: UtcOffset = 0
    writers_per_drive: Whole = 1
    margin_bytes: Bytes = 0  # left free on each drive
    replot: bool = False  # whether old plots here may be replaced by new ones
    low_water_bytes: Space = None  # left free on each drive by that; None: not set here
    taken_in: Annotated[
        tuple[str, ...], MANY
    ] = ()  # ids of the plots that it took in lately, the latest last
    # Plot id -> plotter that it comes from: its bytes arrive, or are checked.
    arriving: Annotated[dict[str, str], MANY] = Field(default_factory=dict)
    inventory: InventorySums | None = None  # None: of an older plotman, or not begun
    evacuations: Annotated[tuple[Evacuating, ...], FEW] = ()
    replot_report: ReplotReport | None = None  # None: no order to replace old plots


Snapshot = PlotterSnapshot | ArchiverSnapshot | HarvesterSnapshot

SNAPSHOT_OF_ROLE: dict[Role, type[PlotterSnapshot | ArchiverSnapshot | HarvesterSnapshot]] = {
    Role.PLOTTER: PlotterSnapshot,
    Role.ARCHIVER: ArchiverSnapshot,
    Role.HARVESTER: HarvesterSnapshot,
}


class Wait(Notice):
    """Why something does not happen now: the rule that decided, with its numbers."""

    host: str
    rule: str  # stagger, max jobs, tmp phase, tmp room, dst room, failures, paused, drives, ...
    # For operators, with the numbers: "stagger 1623s/1800s". Cut: a host's own words may be in it, and would
    # be repeated for each of its plots.
    reason: Annotated[str, AfterValidator(lambda text: text[:LONGEST_REASON])]
    subject: str | None = None  # tmp directory or path of a plot; None: the host as a whole
    numbers: dict[str, Number] = Field(default_factory=dict)
    until: Moment | None = None  # when the rule lets it pass if nothing else changes


class Waits(Notice):
    """All waits of the farm; beat replaces them with each decision that changes one."""

    beat: str
    at: Moment
    waits: Annotated[tuple[Wait, ...], MANY] = ()
    problems: Annotated[tuple[str, ...], FEW] = ()  # of beat's machine, as in the snapshots
    clock_skew_s: Number | None = None  # of beat's machine


class Event(Notice):
    """Something that happened. Appended to the stream, where it wakes beat."""

    kind: str  # plot-started, plot-phase, plot-done, plot-failed, plot-ready, archived, refused, ...
    host: str
    at: Moment
    text: str  # a sentence for operators
    plot_id: PlotId = None
    task_id: str | None = None
    size_bytes: Whole | None = None  # of the plot
    phase: Phase | None = None  # of plot-phase: that begins now


def later(value: Any, by: timedelta) -> Any:
    """A copy of a notice, or of a part of one, in which each time is later by `by`."""
    if isinstance(value, datetime):
        return value + by
    if isinstance(value, tuple):
        return tuple(later(part, by) for part in value)
    if isinstance(value, Notice):
        return value.model_copy(update={name: later(part, by) for name, part in value})
    return value


def age_s(then: datetime, now: datetime) -> float:
    """Seconds from `then` to `now`; never negative, because the clocks of two hosts differ."""
    return max(0.0, (now - then).total_seconds())
