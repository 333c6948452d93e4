"""What `plotman replot plan` shows: which old plots would be replaced, when, and why others stay."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from beat.policy.replot.planner import (
    ClassPlan,
    DriveState,
    Place,
    PlotGroup,
    ReplotPlan,
    Victim,
    plan,
    size_fits,
    turns,
)
from beat.policy.replot.schedule import (
    GONE_DAYS,
    YEAR_DAYS,
    Span,
    Weight,
    When,
    mean_weight,
    needed_bytes_per_day,
    spans,
    weights,
)
from beat.policy.replot.worth import Calendar
from common.config.sections.replot import FORK, NOW, Replot
from common.errors import ExitCode, PlotmanError
from common.model.inventory import MOST_CLASSES, FileRow, InventoryPage
from common.model.plot_class import PlotClass
from common.model.snapshot import DirState, Drive, DriveUse, HarvesterSnapshot
from common.names import Role
from plotman.control.farm import FarmState
from plotman.control.queries.forecast import pace
from plotman.control.queries.inventory import FarmInventory, HostInventory, Missing, Part, ask_sums, pages

_DAY = timedelta(days=1)
_COLUMNS = 64  # of the chart


class NoSuchClass(PlotmanError):
    """plotman.yaml names no class of old plots of this name."""

    exit_code = ExitCode.NOTHING


@dataclass(frozen=True)
class PlanLimits:
    """What of the plan is asked for.

    host: only this harvester; None: all.
    classes: only these; empty: all.
    first: files that are listed of each drive. drives: most drives with a list.
    rate_bytes: new plots per day; None: as measured.
    height: of the network now; None: reckoned.
    """

    host: str | None = None
    classes: tuple[str, ...] = ()
    first: int = 2
    drives: int = 10
    rate_bytes: float | None = None
    height: int | None = None


@dataclass(frozen=True)
class Chart:
    """Weights on the days of the chart's columns. unchanged: if nothing is replaced."""

    days: tuple[float, ...]
    planned: tuple[Weight, ...]
    unchanged: tuple[Weight, ...]


@dataclass(frozen=True)
class FirstPlot:
    """An old plot that goes early. at_once: whether it is among the first that go at the same time."""

    victim: Victim
    at_once: bool


@dataclass(frozen=True)
class PlanAnswer:
    """The plan and what is reckoned from it.

    rate_bytes: new plots per day; None: not known. rate_source: where it is from.
    spans: when each class goes; None: not known.
    mean, mean_unchanged: of the weight over 256 days after the fork; None: the fork is not known.
    others: drives whose first plots are not listed.
    """

    at: datetime
    settings: Replot
    calendar: Calendar
    plan: ReplotPlan
    when: When
    rate_bytes: float | None
    rate_source: str
    spans: tuple[Span, ...] | None
    needed_bytes: float | None
    mean: float | None
    mean_unchanged: float | None
    chart: Chart | None
    first: tuple[FirstPlot, ...]
    others: int
    hosts: tuple[HostInventory, ...]
    missing: Missing = field(default_factory=dict)

    def date_of(self, day: float) -> datetime:
        """The date of a day from now."""
        return self.at + day * _DAY


def ask(settings: Replot, farm: FarmState, limits: PlanLimits) -> PlanAnswer:
    """Ask the harvesters for their plots, and plan.

    Args:
        settings: the section `replot`, with classes.
        farm: as the board shows it.
        limits: what is asked for.

    Raises:
        NoSuchClass: a class of `limits` is in no settings.
        NoSuchHost, NoAnswer, BrokerError.
    """
    _check_names(settings, limits.classes)
    classes = [one for one in settings.old if not limits.classes or one.name in limits.classes]
    sums = ask_sums(limits.host, None)
    states = drive_states(farm, settings, limits.host)
    made = plan(groups(sums.parts), states, classes, settings.v2_weight)
    missing = dict(sums.missing)
    victims = list(_victims(made, limits, missing))
    return _answer(settings, farm, limits, sums, made, victims, missing)


def _check_names(settings: Replot, names: Sequence[str]) -> None:
    for name in names:
        if name not in settings.classes:
            known = ", ".join(settings.classes)
            raise NoSuchClass(f"replot.classes of plotman.yaml has no class {name}.", f"It has {known}.")


def groups(parts: Iterable[Part]) -> Iterator[PlotGroup]:
    """The sums of the harvesters by drive, class and month, for the planner."""
    for part in parts:
        of = PlotClass(**{name: getattr(part.sums, name) for name in PlotClass.model_fields})
        sums = part.sums
        yield PlotGroup(part.host, part.drive or "", of, part.month, sums.plots, sums.files, sums.bytes)


def drive_states(farm: FarmState, settings: Replot, host: str | None = None) -> dict[Place, DriveState]:
    """The drives of live harvesters, in the order in which they come. host: only this one; None: all."""
    found: dict[Place, DriveState] = {}
    for name, snapshot in sorted(farm.alive(Role.HARVESTER).items()):
        if host not in (None, name):
            continue
        low_water = settings.low_water_bytes if snapshot.low_water_bytes is None else snapshot.low_water_bytes
        low_water = max(low_water, snapshot.margin_bytes)
        for drive in snapshot.drives:
            closed = _why_closed(snapshot, drive)
            found[name, drive.path] = DriveState(drive.free_bytes, low_water, closed, drive.device)
    return found


def _why_closed(snapshot: HarvesterSnapshot, drive: Drive) -> str | None:
    if not snapshot.replot:
        return f"harvester.replot is off on {snapshot.host}"
    if drive.use is DriveUse.DISABLED:
        return "the drive is disabled"
    if drive.state is not DirState.OK:
        return f"the drive is {drive.state}"
    if drive.disk is not None and drive.disk.fails:
        return "the disk expects to fail"
    if any(one.drive == drive.path for one in snapshot.evacuations):
        return "the drive is evacuated"
    if snapshot.drained or drive.drained or drive.use is DriveUse.DRAINING:
        return "the drive is draining"
    return None


def _victims(made: ReplotPlan, limits: PlanLimits, missing: Missing) -> Iterator[Victim]:
    """Yield the first files of each class on each drive that is listed."""
    listed = {drive.place: {number for number, _ in drive.classes} for drive in made.drives[: limits.drives]}
    for number, one in enumerate(made.classes):
        hosts = list(dict.fromkeys(place[0] for place, numbers in listed.items() if number in numbers))
        for host, file in _files(one, hosts, limits.first, missing):
            found = file.plot_class
            # A harvester may answer with other files than those that were asked for.
            is_plot = (
                found is not None
                and one.old.matches(found, file.made)
                and size_fits(found, 1, max(1, file.size_bytes))
            )
            if is_plot and number in listed.get((host, file.drive), ()):
                yield Victim((host, file.drive), file.name, file.size_bytes, number)


def _files(one: ClassPlan, hosts: list[str], limit: int, missing: Missing) -> Iterator[tuple[str, FileRow]]:
    headers = [header.model_dump(mode="json", exclude_none=True) for header in one.found[:MOST_CLASSES]]
    asked = {"what": InventoryPage.CLASSED.value, "classes": headers, "limit": limit}
    if one.old.made_before is not None:
        asked["made_before"] = one.old.made_before
    for host, answers in pages(hosts if limit else [], asked, missing, {}):
        for answer in answers:
            yield from ((host, FileRow.model_validate(row)) for row in answer["files"])


def _answer(
    settings: Replot,
    farm: FarmState,
    limits: PlanLimits,
    sums: FarmInventory,
    made: ReplotPlan,
    victims: list[Victim],
    missing: Missing,
) -> PlanAnswer:
    now = farm.at
    calendar = Calendar.of(now, limits.height)
    when = _when(settings, calendar, now)
    rate_bytes, source = _rate(farm, limits)
    found = spans(made.classes, rate_bytes or 0, settings.max_per_day, when)
    known = when.fork_day if made.plots else None
    weight = settings.v2_weight
    listed = made.drives[: limits.drives]
    return PlanAnswer(
        at=now,
        settings=settings,
        calendar=calendar,
        plan=made,
        when=when,
        rate_bytes=rate_bytes,
        rate_source=source,
        spans=found,
        needed_bytes=needed_bytes_per_day(made.bytes, when),
        mean=None if known is None or found is None else mean_weight(made.classes, found, known, weight),
        mean_unchanged=None if known is None else mean_weight(made.classes, None, known, weight),
        chart=None if known is None else _chart(made, found, known, weight),
        first=tuple(_in_order([drive.place for drive in listed], victims, settings.max_in_flight, limits)),
        others=len(made.drives) - len(listed),
        hosts=sums.hosts,
        missing=missing,
    )


def _when(settings: Replot, calendar: Calendar, now: datetime) -> When:
    fork_day = None
    if settings.fork_height is not None:
        fork_day = (calendar.date_of(settings.fork_height) - now) / _DAY
    if settings.start in (FORK, NOW):
        return When(fork_day, if_it_pays=settings.start == FORK)
    start = datetime.fromisoformat(settings.start).replace(tzinfo=UTC)
    return When(fork_day, (start - now) / _DAY, if_it_pays=False)


def _rate(farm: FarmState, limits: PlanLimits) -> tuple[float | None, str]:
    """New plots per day in bytes, and where the figure is from."""
    if limits.rate_bytes is not None:
        return limits.rate_bytes, "as given"
    for what, tallies in (
        ("archived", [one.tally for one in farm.archivers.values()]),
        ("made", [one.tally for one in farm.plotters.values()]),
    ):
        rate = pace(tallies, farm.at).bytes_per_day
        if rate:
            # Nobody counts for which machine plots are made.
            whose = "" if limits.host is None else "of the whole farm, "
            return rate, f"{whose}{what} in the last 7 days"
    return None, "no plot was archived or made in the last 7 days, or they were counted for less than an hour"


def _chart(made: ReplotPlan, found: tuple[Span, ...] | None, fork_day: float, new_weight: float) -> Chart:
    begins = min(0.0, fork_day)
    ends = [span.ends for span in found or ()]
    last = max(fork_day + YEAR_DAYS, min([fork_day + 2 * YEAR_DAYS, *ends[-1:]]))
    days = tuple(begins + (last - begins) * column / (_COLUMNS - 1) for column in range(_COLUMNS))
    return Chart(
        days,
        tuple(weights(made.classes, found, fork_day, new_weight, days)),
        tuple(weights(made.classes, None, fork_day, new_weight, days)),
    )


def _in_order(
    places: Sequence[Place], victims: list[Victim], most: int, limits: PlanLimits
) -> Iterator[FirstPlot]:
    """The first plots of each drive, by class and name, with a mark at the first turn."""
    ordered = [one for place in places for one in _of_place(place, victims)]
    at_once = set(next(turns(ordered, most), ()))
    for place in places:
        yield from (FirstPlot(one, one in at_once) for one in _of_place(place, victims)[: limits.first])


def _of_place(place: Place, victims: list[Victim]) -> list[Victim]:
    return sorted((one for one in victims if one.place == place), key=lambda one: (one.number, one.name))


def hosts_that_keep(farm: FarmState) -> tuple[str, ...]:
    """Harvesters on which no plot may be replaced: harvester.replot is off."""
    return tuple(sorted(host for host, one in farm.alive(Role.HARVESTER).items() if not one.replot))


def gone_at(answer: PlanAnswer) -> datetime | None:
    """When proofs of old plots count no more; None: the fork is not known."""
    return None if answer.when.fork_day is None else answer.date_of(answer.when.fork_day + GONE_DAYS)
