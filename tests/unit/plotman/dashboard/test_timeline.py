"""How long the phases of a plot took, by events, beside its siblings."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from common.model.phase import Phase
from common.model.snapshot import Event
from plotman.control.farm import FarmState
from plotman.dashboard import timeline
from plotman.dashboard.model import RowKind, RowSubject
from plotman.dashboard.timeline import Courses, Part
from tests.support import showcase
from tests.support.showcase import T

MINUTE = 60.0
SUBJECT = RowSubject(RowKind.JOB, "p1", "task-0001")


def happened(number: int, minutes_ago: float, kind: str, phase: str = "", host: str = "p1") -> Event:
    at = T - timedelta(minutes=minutes_ago)
    plot_id = showcase.plot_id(number)
    return Event(
        kind=kind,
        host=host,
        at=at,
        text="",
        task_id=f"task-{number:04}",
        plot_id=plot_id,
        phase=Phase.parse(phase) if phase else None,
    )


def course(number: int, *began: float, ended: float | None = None) -> list[Event]:
    """Events of a plot. began: minutes ago, of its start and of the phases from 2 on."""
    events = [happened(number, began[0], "plot-started")]
    for major, minutes in enumerate(began[1:], 2):
        events += [happened(number, minutes, "plot-phase", f"{major}:{minor}") for minor in (0, 1)]
    return [*events, *([] if ended is None else [happened(number, ended, "plot-done")])]


def farm(*numbers: int) -> FarmState:
    """The plots run, all of one kind."""
    jobs = tuple(
        showcase.job(
            number, "/mnt/tmp/0", "3:1", 71, started_at=T - timedelta(minutes=300 if number == 2 else 100)
        )
        for number in numbers
    )
    return replace(showcase.small(), plotters={"p1": showcase.plotter("p1", jobs=jobs)})


def test_the_times_in_the_phases_come_from_events() -> None:
    courses = Courses()
    courses.add_events(course(1, 100, 60, 10))
    courses.add_farm(farm(1))
    mine = courses.of(SUBJECT)
    assert mine is not None
    assert mine.parts(T) == [Part(1, 40 * MINUTE), Part(2, 50 * MINUTE), Part(3, 10 * MINUTE)]


def test_a_phase_whose_start_was_not_seen_is_not_known() -> None:
    courses = Courses()
    middle = [
        happened(1, 50, "plot-phase", "2:5"),
        happened(1, 30, "plot-phase", "3:0"),
    ]
    courses.add_events(middle)
    courses.add_farm(farm(1))
    mine = courses.of(SUBJECT)
    assert mine is not None
    assert mine.parts(T) == [Part(0, 70 * MINUTE), Part(3, 30 * MINUTE)]


def test_siblings_are_the_plots_of_its_kind_that_were_completed_lately() -> None:
    courses = Courses()
    courses.add_events([*course(2, 300, 260, 200), *course(1, 100, 70, 10)])
    courses.add_farm(farm(1, 2, 3))
    courses.add_events([happened(2, 5, "plot-done")])
    courses.add_farm(farm(1, 3))
    assert [one.label for one in courses.siblings(SUBJECT, farm(1, 3))] == [showcase.plot_id(2)[:8]]
    first, second, words = timeline.lines(courses, SUBJECT, farm(1).plotters["p1"].jobs[0], farm(1, 3), 200)
    assert first.text.startswith("this plot  1: 30m 0s ━")
    assert first.text.endswith(", 71%")
    assert second.text.startswith(showcase.plot_id(2)[:8])
    assert words.text.strip() == "phase 1 took 30m 0s, siblings 40m 0s; phase 2 took 1h 0m, siblings 1h 0m"


def test_siblings_are_those_that_run_while_none_was_completed() -> None:
    courses = Courses()
    courses.add_events([*course(9, 500, 400, 300, ended=100), *course(1, 100, 60, 10)])
    courses.add_farm(farm(1, 2))
    assert [one.label for one in courses.siblings(SUBJECT, farm(1, 2))] == [showcase.plot_id(2)[:8]]


def test_plots_of_another_host_or_kind_are_no_siblings() -> None:
    courses = Courses()
    other = replace(
        farm(1), plotters={**farm(1).plotters, "p2": showcase.plotter("p2", jobs=(showcase.job(5, "/t"),))}
    )
    madmax = showcase.job(6, "/mnt/tmp/0", plotter="madmax")
    other.plotters["p1"] = other.plotters["p1"].model_copy(
        update={"jobs": (*farm(1).plotters["p1"].jobs, madmax)}
    )
    courses.add_farm(other)
    assert courses.siblings(SUBJECT, other) == []


def test_a_phase_that_no_plotter_has_is_left_out() -> None:
    courses = Courses()
    courses.add_events([happened(1, 5, "plot-phase", "9:1")])
    courses.add_farm(farm(1))
    mine = courses.of(SUBJECT)
    assert mine is not None
    assert mine.began == {}


def test_only_the_newest_plots_are_remembered() -> None:
    courses = Courses()
    courses.add_events([happened(number, 1, "plot-done") for number in range(3000)])
    courses.add_farm(farm())
    assert courses.of(SUBJECT) is None
    assert courses.of(RowSubject(RowKind.JOB, "p1", "task-2999")) is not None


def test_a_plot_that_runs_is_remembered_however_many_others_end_meanwhile() -> None:
    courses = Courses()
    courses.add_events(course(1, 100, 60, 10))
    for first in range(1000, 4000, 1000):
        courses.add_events([happened(number, 1, "plot-done") for number in range(first, first + 1000)])
        courses.add_farm(farm(1))
    mine = courses.of(SUBJECT)
    assert mine is not None
    assert len(mine.parts(T)) == 3, "with the times of its phases"
