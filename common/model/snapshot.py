"""What each process tells of its host on the notice board, and what beat says of it.

All are frozen and travel as JSON. Unknown fields are ignored when read, so that the versions of two
neighbouring releases understand each other; `version` grows when a field changes its meaning.
Sizes are in bytes, durations in seconds, times are aware UTC. None always means "not known".

Longer than our other modules: it is the one list of what hosts tell each other, and is read as a whole when
two versions have to understand one another.
"""

# No `from __future__ import annotations`: pydantic would have to compile each annotation by itself, a fifth
# of what it does with a model.

from datetime import datetime
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from common.model.phase import Phase
from common.names import Role

VERSION = 1


class Notice(BaseModel):
    """Base of all that stands on the notice board."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class DirState(StrEnum):
    """What can be said of a directory or drive. Only `OK` may be written to."""

    OK = "ok"
    MISSING = "missing"
    NOT_MOUNTED = "not mounted"
    READ_ONLY = "read-only"
    HANGING = "hanging"  # it did not answer within its deadline
    UNKNOWN = "unknown"  # nobody looked yet


class Hold(Notice):
    """A person's word that nothing new shall begin: on a host, in a directory, on a drive.

    by: `user@machine`. until: when it ends by itself; None: when somebody says so.
    """

    reason: str | None = None
    by: str | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class Directory(Notice):
    """A tmp or dst directory of a plotter, as last seen by its own probe. drained: it takes no new plots."""

    path: str
    state: DirState = DirState.UNKNOWN
    free_bytes: int | None = None  # what a plain user may still write (f_bavail)
    total_bytes: int | None = None
    device: str | None = None  # file system; directories that share one share its bytes
    drained: Hold | None = None


class TmpDir(Directory):
    """A tmp directory with the limits that hold for it, overrides applied.

    A new job may start when fewer than `stagger_limit` of its jobs are before `stagger_phase` and fewer
    than `max_jobs` run.
    """

    max_jobs: int
    stagger_phase: Phase
    stagger_limit: int


class Recipe(Notice):
    """The next plot this plotter would make, and the room it takes."""

    plotter: str  # chia, chiapos, madmax, bladebit
    k: int
    tmp_bytes: int  # peak in tmp
    tmp2_bytes: int  # peak in tmp2, where one is configured; else counted in tmp_bytes
    dst_bytes: int  # the finished plot


class RunStatus(StrEnum):
    """State of a plotter process, in the words of 0.5.3's `status` table."""

    RUNNING = "RUN"
    SLEEPING = "SLP"
    DISK = "DSK"
    STOPPED = "STP"
    OTHER = "???"


class Job(Notice):
    """A plotter process: ordered by us or found running."""

    task_id: str
    plotter: str
    pid: int
    started_at: AwareDatetime
    ours: bool  # ordered by plotman; False: found, started by hand or by another manager
    plot_id: str | None = None
    k: int | None = None
    phase: Phase | None = None
    percent: float | None = None
    eta_s: float | None = None
    tmp: str | None = None
    tmp2: str | None = None
    dst: str | None = None
    log: str | None = None
    proven: bool = False  # it got as far as plotting: whatever befalls it now, the set-up works
    stalled: str | None = None  # the plotter's own words for what it endlessly waits for
    status: RunStatus = RunStatus.OTHER
    tmp_used_bytes: int = 0
    tmp_to_come_bytes: int = 0  # what it will still take at its peak, beyond what it already holds
    tmp2_to_come_bytes: int = 0
    dst_to_come_bytes: int = 0
    mem_bytes: int = 0
    user_s: float = 0
    sys_s: float = 0
    iowait_s: float = 0


class PlotState(StrEnum):
    """What can be said of a finished plot's file in a dst directory. Only `READY` is archived."""

    READY = "ready"
    OPEN = "open"  # somebody still writes it
    TRUNCATED = "truncated"
    FOREIGN = "foreign"  # named like a plot, but is none
    MISNAMED = "misnamed"  # a plot under another's name, or under none of a plot's
    REFUSED = "refused"  # a harvester did not take it; kept here until somebody says what to do


class FinishedPlot(Notice):
    """A file in a dst directory that carries a plot's name."""

    path: str
    size_bytes: int
    state: PlotState
    since: AwareDatetime  # when it was first seen so
    plot_id: str | None = None
    k: int | None = None
    reason: str | None = None  # why it is not ready, for people
    copied_to: str | None = None  # harvester that has all its bytes, and may have taken it in


class Failures(Notice):
    """Plotters that died at once, one after the other, since the last one that worked."""

    consecutive: int = 0
    last_at: AwareDatetime | None = None
    last_reason: str | None = None


class Tally(Notice):
    """What ended well lately, by this host's own history.

    hours_count, hours_bytes: of each of the last 24 hours, the oldest first; the last is the hour up to now.
    since: when the first of all was counted; a host that is younger than a week counts only its own time.
    """

    hours_count: tuple[int, ...] = ()
    hours_bytes: tuple[int, ...] = ()
    day_count: int = 0  # of the last 24 hours
    day_bytes: int = 0
    week_count: int = 0  # of the last 7 days
    week_bytes: int = 0
    since: AwareDatetime | None = None


class Leftovers(Notice):
    """Unfinished files in a plotter's directories that no job of it explains. An estimate at a glance:
    `plotman cleanup` looks closer."""

    bytes: int
    files: int
    dirs: int


class PlotterSnapshot(Notice):
    """A plotter host: what runs, what room there is, what limits it sets itself.

    turn: changes with each job that starts here, whoever starts it. An order names the turn that it was
        decided on and is void at any other, so that nothing is ever started twice on one decision.
    plotting: False while this host shall start nothing; `pause_reason` says why, `paused` who and until when
        where that was a person.
    drained: a person has the whole host take no new plots; `paused` is then that, or a pause beside it.
    archiving_paused: no more transfers begin.
    windows: hours of the day for starting, as in plotman.yaml; empty: any. They are of the host's local time,
        utc_offset_s ahead of UTC now.
    dst_dirs: empty where none is configured: a plot then stays in tmp2, or else in tmp.
    harvesters: hosts that may take the plots; empty: any.
    """

    version: int = VERSION
    host: str
    at: AwareDatetime
    turn: str
    plotting: bool
    pause_reason: str | None = None
    paused: Hold | None = None
    drained: Hold | None = None
    archiving_paused: Hold | None = None
    windows: tuple[str, ...] = ()
    utc_offset_s: int = 0
    starts_left: int | None = None  # how many more plots may start; None: no end
    global_max_jobs: int
    global_stagger_s: float
    recipe: Recipe
    check_room: bool = True
    failure_limit: int = 3
    failure_pause_s: float = 60
    failures: Failures = Failures()
    last_start_at: AwareDatetime | None = None  # the stagger counts from here though that job has ended
    tmp_dirs: tuple[TmpDir, ...]
    tmp2: Directory | None = None
    dst_dirs: tuple[Directory, ...] = ()
    jobs: tuple[Job, ...] = ()
    plots: tuple[FinishedPlot, ...] = ()
    archiving: bool = False
    harvesters: tuple[str, ...] = ()
    moves_at_once: int = 1  # plots that may be sent from here at a time
    problems: tuple[str, ...] = ()  # what its owner should mend, one sentence each
    leftovers: Leftovers | None = None
    tally: Tally | None = None  # plots that were made


class Transfer(Notice):
    """A plot on its way from this host to a drive.

    compares: nothing is sent; the source is read, to be compared with a file of its name on the drive. The
        bytes, rate and rest are those of the reading then.
    """

    path: str  # source
    plot_id: str | None
    size_bytes: int
    harvester: str
    drive: str
    started_at: AwareDatetime
    sent_bytes: int = 0
    rate_bytes_s: float | None = None
    eta_s: float | None = None
    compares: bool = False


class TargetSpace(Notice):
    """A folder that an archiving target offers for plots, as its disk space script told it."""

    path: str
    free_bytes: int


class TargetReport(Notice):
    """An archiving target of plotman 0.5.3: where plots go by scripts, without a harvester worker.

    place: the same for all hosts whose targets are one place, so that bytes on their way are counted once.
    asked_at: when `spaces` were last told; None: not yet.
    trouble: why nothing is known of the free space now; None: it is known, or was not asked yet.
    elsewhere: a transfer that runs, but not under this archiver: of an earlier one, or started by hand.
    """

    name: str
    place: str
    spaces: tuple[TargetSpace, ...] = ()
    asked_at: AwareDatetime | None = None
    trouble: str | None = None
    elsewhere: str | None = None


class ArchiverSnapshot(Notice):
    """The archiver of a plotter host: what it sends now. target: None where harvesters take the plots.
    routed: harvesters that it reaches by a route of its own, which need not open a receiver for it."""

    version: int = VERSION
    host: str
    at: AwareDatetime
    transfers: tuple[Transfer, ...] = ()
    bandwidth_bytes_s: int | None = None  # limit of all transfers together; None: no limit
    target: TargetReport | None = None
    routed: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    tally: Tally | None = None  # plots that were sent


class DriveUse(StrEnum):
    """What the owner of a farming drive wants of it, whatever state it is in."""

    ACTIVE = "active"
    DRAINING = "draining"  # it takes nothing new; what is on its way to it lands
    DISABLED = "disabled"  # neither written to nor looked at


class Drive(Directory):
    """A farming drive. `free_bytes` is already without `reserved_bytes`: part files hold their bytes.

    full: not even the smallest plot of those that the host's drives have would fit.
    state_since: of `word`, as far as the worker that tells it has been up.
    """

    use: DriveUse = DriveUse.ACTIVE
    full: bool = False
    plots: int = 0
    reserved_bytes: int = 0
    incoming: int = 0  # part files on their way in
    state_since: AwareDatetime | None = None

    @property
    def takes_plots(self) -> bool:
        """Whether new ones may go there, as far as they fit."""
        return self.state is DirState.OK and self.use is DriveUse.ACTIVE

    @property
    def word(self) -> str:
        """The one word that people are told: active, full, draining, disabled, or what is wrong with it."""
        if self.use is DriveUse.DISABLED:
            return self.use.value  # nobody looks, so nothing else is known
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
    """Why something does not happen now: the rule that decided, with its numbers.

    subject: tmp directory, plot path, or None for the host as a whole.
    until: when the rule would let it pass if nothing else changed; None where that is not known.
    """

    host: str
    rule: str  # stagger, max jobs, tmp phase, tmp room, dst room, failures, paused, drives, ...
    reason: str  # for people, with the numbers: "stagger 1623s/1800s"
    subject: str | None = None
    numbers: dict[str, float] = Field(default_factory=dict)
    until: AwareDatetime | None = None


class Waits(Notice):
    """All that beat waits for, replaced as a whole with each decision that changes it."""

    beat: str
    at: AwareDatetime
    waits: tuple[Wait, ...] = ()
    problems: tuple[str, ...] = ()  # of beat's machine, as in the snapshots


class Event(Notice):
    """Something that happened; on the stream, where it wakes beat."""

    kind: str  # plot-started, plot-phase, plot-done, plot-failed, plot-ready, archived, refused, ...
    host: str
    at: AwareDatetime
    text: str  # a sentence for people
    plot_id: str | None = None
    task_id: str | None = None
    size_bytes: int | None = None  # of the plot that it is about, where that is of interest


def age_s(then: datetime, now: datetime) -> float:
    """Seconds from `then` to `now`, never negative: clocks of two hosts differ."""
    return max(0.0, (now - then).total_seconds())
