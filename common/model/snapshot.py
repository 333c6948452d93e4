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

from datetime import datetime
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from common.model.phase import Phase
from common.names import Role

VERSION = 1


class Notice(BaseModel):
    """Base of everything on the notice board."""

    model_config = ConfigDict(frozen=True, extra="ignore")


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

    reason: str | None = None
    by: str | None = None  # user@machine
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None  # when it expires; None: it holds until it is lifted


class Directory(Notice):
    """A tmp, tmp2 or dst directory of a plotter, as its own probe saw it last."""

    path: str
    state: DirState = DirState.UNKNOWN
    free_bytes: int | None = None  # what an unprivileged user may still write (f_bavail)
    total_bytes: int | None = None
    device: str | None = None  # its file system: directories on one device share its bytes
    drained: Hold | None = None  # it takes no new plots


class TmpDir(Directory):
    """A tmp directory with its limits, overrides applied.

    A new job may start while fewer than `max_jobs` jobs run in it, and fewer than `stagger_limit` of them are
    before `stagger_phase`.
    """

    max_jobs: int
    stagger_phase: Phase
    stagger_limit: int


class Recipe(Notice):
    """The next plot that this host would make, and the space it needs."""

    plotter: str  # chia, chiapos, madmax, bladebit
    k: int
    tmp_bytes: int  # peak in tmp
    tmp2_bytes: int  # peak in tmp2; without a tmp2 it is part of tmp_bytes
    dst_bytes: int  # the finished plot


class RunStatus(StrEnum):
    """State of a plotter process, as plotman 0.5.3's `status` abbreviates it."""

    RUNNING = "RUN"
    SLEEPING = "SLP"
    DISK = "DSK"
    STOPPED = "STP"
    OTHER = "???"


class Job(Notice):
    """A running plotter process."""

    task_id: str
    plotter: str
    pid: int
    started_at: AwareDatetime
    ours: bool  # started by plotman; False: by hand, or by another manager
    plot_id: str | None = None
    k: int | None = None
    phase: Phase | None = None
    percent: float | None = None
    eta_s: float | None = None
    tmp: str | None = None
    tmp2: str | None = None
    dst: str | None = None
    log: str | None = None
    proven: bool = False  # it has begun to plot, so a failure from now on is no fault of the set-up
    stalled: str | None = None  # what it waits for without end, as the plotter's log puts it
    status: RunStatus = RunStatus.OTHER
    tmp_used_bytes: int = 0
    tmp_to_come_bytes: int = 0  # what it will still take in tmp until its peak
    tmp2_to_come_bytes: int = 0
    dst_to_come_bytes: int = 0
    mem_bytes: int = 0
    user_s: float = 0
    sys_s: float = 0
    iowait_s: float = 0


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

    path: str
    size_bytes: int
    state: PlotState
    since: AwareDatetime  # when it was first seen in this state
    plot_id: str | None = None
    k: int | None = None
    reason: str | None = None  # why it is not ready, for operators
    copied_to: str | None = None  # harvester that has all its bytes, and may have admitted it


class Failures(Notice):
    """Plotters that failed right after their start, since the last one that began to plot."""

    consecutive: int = 0
    last_at: AwareDatetime | None = None
    last_reason: str | None = None


class Tally(Notice):
    """Plots that this host made or sent lately, counted from its history."""

    hours_count: tuple[int, ...] = ()  # one item for each of the last 24 hours, the oldest first
    hours_bytes: tuple[int, ...] = ()
    day_count: int = 0  # of the last 24 hours
    day_bytes: int = 0
    week_count: int = 0  # of the last 7 days
    week_bytes: int = 0
    since: AwareDatetime | None = None  # the oldest that was counted: a young host has less than a week


class Leftovers(Notice):
    """Unfinished files in a plotter's directories that belong to no job. A rough count; `plotman cleanup`
    examines each file."""

    bytes: int
    files: int
    dirs: int


class PlotterSnapshot(Notice):
    """A plotter host: its jobs, directories and limits."""

    version: int = VERSION
    host: str
    at: AwareDatetime
    turn: str  # start token: changes with every job that starts here. An order for another token is void.
    plotting: bool  # False: nothing starts here
    pause_reason: str | None = None  # why not, for operators
    paused: Hold | None = None  # set if an operator paused or drained the host
    drained: Hold | None = None  # set if an operator drained it: `paused` is this hold, or a pause besides
    archiving_paused: Hold | None = None  # no more transfers begin
    windows: tuple[str, ...] = ()  # hours for starting, in the host's local time; empty: at any time
    utc_offset_s: int = 0  # of the local time: how far it is ahead of UTC now
    starts_left: int | None = None  # how many more plots may start; None: no limit
    starts_hold: Hold | None = None  # the pause that begins after `starts_left` more plots
    global_max_jobs: int
    global_stagger_s: float
    recipe: Recipe
    check_room: bool = True
    failure_limit: int = 3
    failure_pause_s: float = 60
    failures: Failures = Failures()
    last_start_at: AwareDatetime | None = None  # the stagger counts from here, even if that job has ended
    tmp_dirs: tuple[TmpDir, ...]
    tmp2: Directory | None = None
    dst_dirs: tuple[Directory, ...] = ()  # empty if none is configured: plots stay in tmp2, or else in tmp
    jobs: tuple[Job, ...] = ()
    plots: tuple[FinishedPlot, ...] = ()
    archiving: bool = False
    harvesters: tuple[str, ...] = ()  # hosts that may take the plots; empty: any
    moves_at_once: int = 1  # how many plots may be sent from here at a time
    problems: tuple[str, ...] = ()  # what its owner should correct, one sentence each
    leftovers: Leftovers | None = None
    tally: Tally | None = None  # of plots made


class Transfer(Notice):
    """A plot on its way from this host to a drive."""

    path: str  # source
    plot_id: str | None
    size_bytes: int
    harvester: str
    drive: str
    started_at: AwareDatetime
    sent_bytes: int = 0
    rate_bytes_s: float | None = None
    eta_s: float | None = None
    # Nothing is sent: the source is read, to compare it with a file of its name on the drive. Bytes, rate and
    # ETA belong to the reading.
    compares: bool = False


class TargetSpace(Notice):
    """A folder that takes plots, as the disk space script of an archiving target reported it."""

    path: str
    free_bytes: int


class TargetReport(Notice):
    """An archiving target as in plotman 0.5.3: scripts move the plots, no harvester worker is involved."""

    name: str
    place: str  # equal for targets that are one place, so that bytes on their way there are counted once
    spaces: tuple[TargetSpace, ...] = ()
    asked_at: AwareDatetime | None = None  # when `spaces` were reported last
    trouble: str | None = None  # why the free space is not known; None: it is, or was not asked yet
    elsewhere: str | None = None  # a running transfer that this archiver did not start


class ArchiverSnapshot(Notice):
    """The archiver of a plotter host: what it sends now."""

    version: int = VERSION
    host: str
    at: AwareDatetime
    transfers: tuple[Transfer, ...] = ()
    bandwidth_bytes_s: int | None = None  # limit of all transfers together; None: no limit
    target: TargetReport | None = None  # None: harvesters take the plots
    routed: tuple[str, ...] = ()  # harvesters with a route of their own, which open no receiver for it
    problems: tuple[str, ...] = ()
    tally: Tally | None = None  # of plots sent


class DriveUse(StrEnum):
    """What the owner of a farming drive uses it for; independent of its state."""

    ACTIVE = "active"
    DRAINING = "draining"  # takes no new plots; those on their way still arrive
    DISABLED = "disabled"  # neither written nor read


class Drive(Directory):
    """A farming drive. Part files hold their bytes, so `free_bytes` does not contain `reserved_bytes`."""

    use: DriveUse = DriveUse.ACTIVE
    full: bool = False  # even the smallest plot size on the host's drives would not fit
    plots: int = 0
    reserved_bytes: int = 0
    incoming: int = 0  # part files
    state_since: AwareDatetime | None = None  # since when `word` holds, at the earliest the worker's start

    @property
    def takes_plots(self) -> bool:
        """Whether new plots may go there, if they fit."""
        return self.state is DirState.OK and self.use is DriveUse.ACTIVE

    @property
    def lost(self) -> bool:
        """Whether its state is known and bad. A drive that its owner disabled is not probed, and not lost."""
        return self.use is not DriveUse.DISABLED and self.state not in (DirState.OK, DirState.UNKNOWN)

    @property
    def word(self) -> str:
        """Its use and state in one word: active, full, draining, disabled, or what is wrong with it."""
        if self.use is DriveUse.DISABLED:
            return self.use.value  # it is not probed, so nothing else is known
        if self.state is not DirState.OK:
            return self.state.value
        return "full" if self.full and self.use is DriveUse.ACTIVE else self.use.value


class HarvesterSnapshot(Notice):
    """A harvester host and its drives."""

    version: int = VERSION
    host: str
    at: AwareDatetime
    drives: tuple[Drive, ...]
    drained: Hold | None = None  # none of the drives takes new plots
    utc_offset_s: int = 0
    writers_per_drive: int = 1
    margin_bytes: int = 0  # left free on each drive
    problems: tuple[str, ...] = ()


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
    reason: str  # for operators, with the numbers: "stagger 1623s/1800s"
    subject: str | None = None  # tmp directory or path of a plot; None: the host as a whole
    numbers: dict[str, float] = Field(default_factory=dict)
    until: AwareDatetime | None = None  # when the rule lets it pass if nothing else changes


class Waits(Notice):
    """All waits of the farm; beat replaces them with each decision that changes one."""

    beat: str
    at: AwareDatetime
    waits: tuple[Wait, ...] = ()
    problems: tuple[str, ...] = ()  # of beat's machine, as in the snapshots


class Event(Notice):
    """Something that happened. Appended to the stream, where it wakes beat."""

    kind: str  # plot-started, plot-phase, plot-done, plot-failed, plot-ready, archived, refused, ...
    host: str
    at: AwareDatetime
    text: str  # a sentence for operators
    plot_id: str | None = None
    task_id: str | None = None
    size_bytes: int | None = None  # of the plot


def age_s(then: datetime, now: datetime) -> float:
    """Seconds from `then` to `now`; never negative, because the clocks of two hosts differ."""
    return max(0.0, (now - then).total_seconds())
