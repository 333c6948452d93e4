"""Which old plots would be replaced, when, and why others stay: the plan of `plotman replot plan`."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any

from beat.policy.replot.drives import drive_states
from beat.policy.replot.planner import ClassPlan, DrivePlan, PlotGroup, ReplotPlan, plan
from beat.policy.replot.room import Shortage, shortages
from beat.policy.replot.schedule import (
    GONE_DAYS,
    YEAR_DAYS,
    DayWeight,
    Span,
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
from common.model.replot_victims import DriveId, Victim, first_turn, size_fits
from common.names import Role
from plotman.control.farm import FarmState
from plotman.control.queries.forecast import pace
from plotman.control.queries.inventory import FarmInventory, HostInventory, Missing, Part, ask_sums, pages
from plotman.control.queries.replot.node import Heights, heights
from plotman.control.queries.replot.progress import farm_line
from plotman.control.shares import fair_share

_DAY = timedelta(days=1)
_COLUMNS = 64  # of the chart
# A farm that makes a plot in a year comes to no end that a calendar has.
FAR_DAYS = 100_000
_MOST_FILES = 50_000  # that are read of one host, for one class


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
    height: of the network now; None: the full node's, else reckoned.
    """

    host: str | None = None
    classes: tuple[str, ...] = ()
    first: int = 2
    drives: int = 10
    rate_bytes: float | None = None
    height: int | None = None


@dataclass(frozen=True)
class PlanChart:
    """Weights on the days of the chart's columns. unchanged: if nothing is replaced."""

    days: tuple[float, ...]
    planned: tuple[DayWeight, ...]
    unchanged: tuple[DayWeight, ...]


@dataclass(frozen=True)
class FirstPlot:
    """An old plot that goes early. at_once: whether it is the first of its host."""

    victim: Victim
    at_once: bool


@dataclass(frozen=True)
class PlanAnswer:
    """The plan and what is reckoned from it.

    heights: of the network and of the fork, with where they are from.
    rate_bytes: new plots per day; None: not known. rate_source: where it is from.
    spans: when each class goes; None: not known.
    mean, mean_unchanged: of the weight over 256 days after the fork; None: the fork is not known.
    others: number of drives whose first plots are not listed.
    keeping: hosts on which no plot may be replaced, because harvester.replot is off.
    progress: of orders that harvesters have now; None: there are none.
    shortages: hosts that lack room for the first new plots.
    """

    at: datetime
    settings: Replot
    heights: Heights
    calendar: Calendar
    plan: ReplotPlan
    when: When
    rate_bytes: float | None
    rate_source: str
    spans: tuple[Span, ...] | None
    needed_bytes: float | None
    mean: float | None
    mean_unchanged: float | None
    chart: PlanChart | None
    first: tuple[FirstPlot, ...]
    others: int
    hosts: tuple[HostInventory, ...]
    keeping: tuple[str, ...]
    progress: str | None = None
    shortages: tuple[Shortage, ...] = ()
    missing: Missing = field(default_factory=dict)

    def date_of(self, day: float) -> datetime | None:
        """The date of a day from now; None: it is centuries away."""
        return self.at + day * _DAY if abs(day) < FAR_DAYS else None

    @property
    def gone_at(self) -> datetime | None:
        """When the network accepts no proof of an old plot any more; None: the fork is not known."""
        return None if self.when.fork_day is None else self.date_of(self.when.fork_day + GONE_DAYS)


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
    alive = farm.alive(Role.HARVESTER)
    asked = {host: one for host, one in alive.items() if limits.host in (None, host)}
    states = drive_states(asked, settings.low_water_bytes)
    made = plan(groups(sums.parts), states, classes, settings.v2_weight)
    missing = dict(sums.missing)
    listed = [made.drives[number] for number in fair_share(_hosts_of(made), most=limits.drives)]
    victims = list(_victims(made, listed, limits.first, missing))
    short = tuple(shortages(made, states))
    return _answer(settings, farm, limits, sums, made, listed, victims, short, missing)


def _check_names(settings: Replot, names: Sequence[str]) -> None:
    for name in names:
        if name not in settings.classes:
            known = ", ".join(settings.classes)
            if near := difflib.get_close_matches(name, settings.classes, 1):
                raise NoSuchClass(
                    f"replot.classes of plotman.yaml has no class {name}.", f"Did you mean {near[0]}?"
                )
            raise NoSuchClass(f"replot.classes of plotman.yaml has no class {name}.", f"It has {known}.")


def _hosts_of(made: ReplotPlan) -> list[str]:
    return [one.drive.host for one in made.drives]


def groups(parts: Iterable[Part]) -> Iterator[PlotGroup]:
    """The sums of the harvesters by drive, class and month, for the planner."""
    for part in parts:
        of = PlotClass(**{name: getattr(part.sums, name) for name in PlotClass.model_fields})
        sums = part.sums
        yield PlotGroup(
            drive=DriveId(part.host, part.drive or ""),
            plot_class=of,
            month=part.month,
            plots=sums.plots,
            files=sums.files,
            bytes=sums.bytes,
        )


def _victims(made: ReplotPlan, listed: Sequence[DrivePlan], most: int, missing: Missing) -> Iterator[Victim]:
    """Yield the first files of each class on each drive that is listed. most: of a class on a drive."""
    for number, old in enumerate(made.classes):
        headers = _headers(number, listed)
        counts: Counter[DriveId] = Counter()
        for host, file in _files(old, headers, most, missing):
            drive = DriveId(host, file.drive)
            # A harvester may answer with other files than those that were asked for.
            if drive.path in headers[host] and counts[drive] < most and _belongs(file, old):
                counts[drive] += 1
                yield Victim(drive, file.name, file.size_bytes, number)


def _headers(number: int, listed: Iterable[DrivePlan]) -> dict[str, dict[str, tuple[PlotClass, ...]]]:
    """What the headers of a class say, by host and drive."""
    found: dict[str, dict[str, tuple[PlotClass, ...]]] = {}
    for one in listed:
        for part in one.classes:
            if part.number == number:
                found.setdefault(one.drive.host, {})[one.drive.path] = part.headers
    return found


def _belongs(file: FileRow, of: ClassPlan) -> bool:
    found = file.plot_class
    return (
        found is not None
        and of.old.matches(found, file.made)
        and size_fits(found, plots=1, size_bytes=max(1, file.size_bytes))
    )


def _files(
    one: ClassPlan, headers: dict[str, dict[str, tuple[PlotClass, ...]]], limit: int, missing: Missing
) -> Iterator[tuple[str, FileRow]]:
    asked: dict[str, dict[str, Any]] = {}
    for host, drives in headers.items() if limit else ():
        pairs = [(path, header) for path, of_drive in drives.items() for header in of_drive]
        # An order takes no more headers. No drive's headers push out another's.
        chosen = [pairs[place][1] for place in fair_share([path for path, _ in pairs], most=MOST_CLASSES)]
        classes = [header.model_dump(mode="json", exclude_none=True) for header in dict.fromkeys(chosen)]
        asked[host] = {"what": InventoryPage.CLASSED.value, "classes": classes, "limit": limit}
        if one.old.made_before is not None:
            asked[host]["made_before"] = one.old.made_before
    for host, answers in pages(asked, missing, {}):
        rows = (row for answer in answers for row in answer["files"])
        yield from ((host, FileRow.model_validate(row)) for row in islice(rows, _MOST_FILES))


def _answer(
    settings: Replot,
    farm: FarmState,
    limits: PlanLimits,
    sums: FarmInventory,
    made: ReplotPlan,
    listed: Sequence[DrivePlan],
    victims: list[Victim],
    short: tuple[Shortage, ...],
    missing: Missing,
) -> PlanAnswer:
    now = farm.at
    found_heights = heights(limits.height, settings.fork_height, settings.chia_root)
    calendar = Calendar.of(now, found_heights.height)
    when = _when(settings.start, found_heights.fork_height, calendar, now)
    rate_bytes, source = _rate(farm, limits)
    found = spans(made.classes, rate_bytes or 0, settings.max_per_day, when)
    known = when.fork_day if made.plots else None
    chart = mean = mean_unchanged = None
    if known is not None:
        reckon = partial(mean_weight, made.classes, fork_day=known, new_weight=settings.v2_weight)
        mean = None if found is None else reckon(gone=found)
        mean_unchanged = reckon(gone=None)
        chart = _chart(made.classes, found, fork_day=known, new_weight=settings.v2_weight)
    return PlanAnswer(
        at=now,
        settings=settings,
        heights=found_heights,
        calendar=calendar,
        plan=made,
        when=when,
        rate_bytes=rate_bytes,
        rate_source=source,
        spans=found,
        needed_bytes=needed_bytes_per_day(made.bytes, when),
        mean=mean,
        mean_unchanged=mean_unchanged,
        chart=chart,
        first=tuple(_in_order([one.drive for one in listed], victims, limits.first)),
        others=len(made.drives) - len(listed),
        hosts=sums.hosts,
        keeping=hosts_that_keep(farm),
        progress=farm_line(farm),
        shortages=short,
        missing=missing,
    )


def _when(start: str, fork_height: int | None, calendar: Calendar, now: datetime) -> When:
    fork_day = None
    if fork_height is not None:
        fork_day = (calendar.date_of(fork_height) - now) / _DAY
    if start in (FORK, NOW):
        return When(fork_day, if_it_pays=start == FORK)
    start_at = datetime.fromisoformat(start).replace(tzinfo=UTC)
    return When(fork_day, (start_at - now) / _DAY, if_it_pays=False)


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


def _chart(
    classes: Sequence[ClassPlan], found: tuple[Span, ...] | None, fork_day: float, new_weight: float
) -> PlanChart:
    begins = min(0.0, fork_day)
    ends = [span.ends for span in found or ()]
    last = max(fork_day + YEAR_DAYS, min([fork_day + 2 * YEAR_DAYS, *ends[-1:]]))
    days = tuple(begins + (last - begins) * column / (_COLUMNS - 1) for column in range(_COLUMNS))
    reckon = partial(weights, classes, fork_day=fork_day, new_weight=new_weight, days=days)
    return PlanChart(days, planned=tuple(reckon(gone=found)), unchanged=tuple(reckon(gone=None)))


def _in_order(drives: Sequence[DriveId], victims: list[Victim], most: int) -> Iterator[FirstPlot]:
    """The first plots of each drive, by class and name.

    Args:
        drives: in their order.
        victims: on these drives.
        most: how many of each drive.
    """
    ordered = {drive: _of_drive(drive, victims) for drive in drives}
    first = set(first_turn(one for of_drive in ordered.values() for one in of_drive))
    for of_drive in ordered.values():
        yield from (FirstPlot(one, one in first) for one in of_drive[:most])


def _of_drive(drive: DriveId, victims: list[Victim]) -> list[Victim]:
    return sorted((one for one in victims if one.drive == drive), key=lambda one: (one.number, one.name))


def hosts_that_keep(farm: FarmState) -> tuple[str, ...]:
    """Harvesters on which no plot may be replaced, because harvester.replot is off."""
    return tuple(sorted(host for host, one in farm.alive(Role.HARVESTER).items() if not one.replot))
