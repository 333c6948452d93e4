"""How long the phases of a plot took, beside its siblings: other plots of the same kind. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from common.model.snapshot import Event, Job
from common.model.units import human_duration
from plotman.control.farm import FarmState
from plotman.dashboard.model import Line, RowSubject

_KEPT = 2000  # plots, the ones that were seen last: some of each host of a large farm
_SIBLINGS = 4
_LABEL = 11  # columns
_COPYING = 5  # phase of a complete plot that is copied to its dst


class Part(NamedTuple):
    """A time that a plot was in one phase. phase: 1 to 5; 0: not known."""

    phase: int
    seconds: float


@dataclass
class Course:
    """What the events and snapshots say about a plot. kind: plotter and k; None: it was never seen running.
    phase: the last one known. began: by phase. ended: None while it runs."""

    label: str
    kind: tuple[str, int | None] | None = None
    phase: int | None = None
    began: dict[int, datetime] = field(default_factory=dict)
    started: datetime | None = None
    ended: datetime | None = None

    def enter(self, phase: int, at: datetime) -> None:
        """Note that it is in this phase. The first event that is known may be in the middle of a phase."""
        if self.phase is not None and self.phase != phase:
            self.began.setdefault(phase, at)
        self.phase = phase

    def parts(self, now: datetime) -> list[Part]:
        """The times in its phases, in their order; empty if its start is not known."""
        if self.started is None:
            return []
        marks = sorted((at, phase) for phase, at in self.began.items() if at > self.started)
        first = 1 if (marks[0][1] if marks else self.phase or 0) <= (2 if marks else 1) else 0
        marks = [(self.started, first), *marks, (self.ended or now, 0)]
        found: list[Part] = []
        for (at, phase), (until, _) in pairwise(marks):
            seconds = max(0.0, (until - at).total_seconds())
            if found and found[-1].phase == phase:
                found[-1] = Part(phase, found[-1].seconds + seconds)
            else:
                found.append(Part(phase, seconds))
        return found


class Courses:
    """Remembers the courses of plots while the dashboard is open."""

    def __init__(self) -> None:
        self._plots: dict[tuple[str, str], Course] = {}

    def add_events(self, events: Iterable[Event]) -> None:
        """Remember these events, the oldest first."""
        for event in events:
            if event.task_id is None:
                continue
            course = self._course(event.host, event.task_id)
            if event.plot_id:
                course.label = event.plot_id[:8]
            if event.kind == "plot-started":
                course.started, course.phase = event.at, 0
            elif event.kind == "plot-phase" and event.phase and 1 <= event.phase.major <= _COPYING:
                course.enter(event.phase.major, event.at)
            elif event.kind == "plot-done":
                course.ended = event.at
        self._forget()

    def add_farm(self, farm: FarmState) -> None:
        """Remember the running plots."""
        for host, job in farm.jobs():
            course = self._course(host, job.task_id)
            course.kind, course.started = (job.plotter, job.k), job.started_at
            if job.plot_id:
                course.label = job.plot_id[:8]
            if job.phase is not None and course.phase is None:
                course.phase = job.phase.major
        self._forget()

    def _forget(self) -> None:
        while len(self._plots) > _KEPT:
            del self._plots[next(iter(self._plots))]

    def _course(self, host: str, task_id: str) -> Course:
        """The course of a plot, which is now the last one to be forgotten."""
        course = self._plots.pop((host, task_id), None) or Course("--------")
        self._plots[host, task_id] = course
        return course

    def of(self, subject: RowSubject) -> Course | None:
        return self._plots.get((subject.host, subject.what))

    def siblings(self, subject: RowSubject, farm: FarmState) -> list[Course]:
        """Plots of the same kind on its host: those that were completed lately, else those that run."""
        mine = self.of(subject)
        others = {
            task: course
            for (host, task), course in self._plots.items()
            if mine is not None and host == subject.host and task != subject.what and course.kind == mine.kind
        }
        ended = [course for course in others.values() if course.ended is not None]
        running = {job.task_id for host, job in farm.jobs() if host == subject.host}
        alive = [course for task, course in others.items() if task in running]
        return (ended or alive)[-_SIBLINGS:]


def lines(courses: Courses, subject: RowSubject, job: Job, farm: FarmState, width: int) -> tuple[Line, ...]:
    """The plot's course as a bar, and below it its siblings, in the same scale.

    Args:
        courses: of all plots.
        subject: the plot.
        job: the plot, as it runs.
        farm: as it was read last.
        width: columns of the terminal.
    """
    mine, siblings = courses.of(subject), courses.siblings(subject, farm)
    if mine is None:
        return ()
    rows = [("this plot", mine.parts(farm.at), "" if job.percent is None else f", {job.percent:.0f}%")]
    rows += [(one.label, one.parts(farm.at), "" if one.ended else ", runs") for one in siblings]
    longest = max(sum(part.seconds for part in parts) for _, parts, _ in rows)
    room = max(0, width - _LABEL - 18)
    if longest <= 0 or room < 20:
        return ()
    made = [
        Line.of((label.ljust(_LABEL), ""), *_bar(parts, longest, room), (after, "dim"))
        for label, parts, after in rows
    ]
    words = _compared(mine, siblings, farm.at)
    return (*made, Line(f"{' ' * _LABEL}{words}")) if words else tuple(made)


def _bar(parts: list[Part], longest: float, room: int) -> list[tuple[str, str]]:
    """Thin lines, since blocks would merge with the rows above and below."""
    tones = []
    for part in parts:
        columns = max(1, round(part.seconds / longest * room))
        texts = (f"{part.phase or '?'}: {human_duration(part.seconds)} ", f"{part.phase or '?'} ", "")
        text = next(text for text in texts if not text or len(text) < columns)
        tones.append((text + "━" * (columns - len(text) - 1) + " ", f"line{min(4, part.phase)}"))
    total = sum(part.seconds for part in parts)
    return [*tones, (human_duration(total), "")]


def _compared(mine: Course, siblings: list[Course], now: datetime) -> str:
    """`phase 1 took 1h 12m, siblings 1h 2m`, for the phases that are complete in both."""
    others: dict[int, list[float]] = {}
    for one in siblings:
        parts = one.parts(now)
        for part in parts if one.ended else parts[:-1]:
            others.setdefault(part.phase, []).append(part.seconds)
    words = [
        f"phase {part.phase} took {human_duration(part.seconds)}, "
        f"siblings {human_duration(median(others[part.phase]))}"
        for part in mine.parts(now)[:-1]
        if part.phase and part.phase < _COPYING and part.phase in others
    ]
    return "; ".join(words)
