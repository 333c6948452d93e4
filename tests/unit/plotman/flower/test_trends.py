"""The last 30 days, from the histories of the hosts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from common.errors import PlotmanError
from common.history.rows import ROW_OF_KIND, End, HistoryKind, LandingEnd, PlotEnd, Row, TransferEnd
from plotman.control.queries.history import HistoryResult
from plotman.flower.trends import DAYS, TrendReader, Trends
from tests.support.waiting import eventually

NOON = datetime.now().astimezone().replace(hour=12)


def plot(days_ago: int, end: End = End.DONE, **fields: Any) -> PlotEnd:
    at = NOON - timedelta(days=days_ago)
    given = {
        "key": f"{days_ago}",
        "host": "p1",
        "task_id": "t",
        "plotter": "chia",
        "k": 32,
        "size_bytes": 100,
    }
    return PlotEnd(ended_at=at, end=end, **{**given, **fields})


def archived(days_ago: int, end: End = End.ARCHIVED) -> TransferEnd:
    at = NOON - timedelta(days=days_ago)
    return TransferEnd(key="x", host="p1", ended_at=at, end=end, size_bytes=100, harvester="h1", drive="/d")


def read(rows: list[Row], missing: dict[str, str] | None = None) -> Trends:
    def ask(kind: HistoryKind, take: Callable[[list[Row]], None], **_: object) -> HistoryResult:
        take([row for row in rows if isinstance(row, ROW_OF_KIND[kind])])
        return HistoryResult(kind, (), missing or {})

    reader = TrendReader(ask)
    return eventually(lambda: found if (found := reader.trends()).known else None, "the history is read")


def test_a_day_counts_what_ended_on_it_well() -> None:
    found = read([plot(0), plot(0, End.FAILED), plot(3), archived(3), archived(3, End.SENT), plot(DAYS)])
    assert len(found.days) == DAYS
    assert [(day.made, day.archived_bytes) for day in found.totals[-4:]] == [(1, 100), (0, 0), (0, 0), (1, 0)]
    assert sum(day.made for day in found.totals) == 2


def landed(days_ago: int, host: str = "h1", drive: str = "/d") -> LandingEnd:
    at = NOON - timedelta(days=days_ago)
    return LandingEnd(key="x", host=host, ended_at=at, end=End.LANDED, size_bytes=100, drive=drive)


def test_the_pace_of_a_drive_is_counted_from_its_first_plot_of_the_week() -> None:
    assert read([landed(3), landed(1), landed(20)]).bytes_per_day() == {("h1", "/d"): 50.0}
    assert read([landed(20)]).bytes_per_day() == {}


def test_what_a_plotter_says_of_another_hosts_drive_is_no_pace_of_it() -> None:
    assert read([archived(1)]).bytes_per_day() == {}


def test_phase_times_are_means_of_one_class() -> None:
    rows: list[Row] = [plot(0, phase1_s=10), plot(0, phase1_s=20), plot(0, phase1_s=900, k=33)]
    kind, means = read(rows).phase_times()
    assert kind == ("chia", 32, None)
    assert means[0][-2:] == [None, 15.0]


def test_a_host_that_is_missing_is_named() -> None:
    assert read([plot(0)], {"p2": "p2 is silent."}).note == "p2 is silent."


class Asked:
    """Hosts whose histories change between two readings."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.missing: dict[str, str] = {}
        self.error: Exception | None = None
        self.since: list[datetime] = []

    def __call__(
        self, kind: HistoryKind, since: datetime, take: Callable[[list[Row]], None], within_s: float
    ) -> HistoryResult:
        if self.error is not None:
            raise self.error
        self.since.append(since)
        take([row for row in self.rows if isinstance(row, ROW_OF_KIND[kind])])
        return HistoryResult(kind, (), dict(self.missing))

    def days(self) -> list[int]:
        """How many days ago each reading of plots began."""
        midnight = NOON.replace(hour=0, minute=0, second=0, microsecond=0)
        return [round((midnight - since) / timedelta(days=1)) for since in self.since[:: len(HistoryKind)]]


@pytest.mark.parametrize(
    ("error", "note"),
    [
        (PlotmanError("nobody answers"), "nobody answers"),
        (RuntimeError("a mistake"), "The history was not read; flower.log says why."),
    ],
    ids=["ours", "other"],
)
def test_an_error_is_a_note_beside_what_was_known(error: Exception, note: str) -> None:
    asked = Asked()
    asked.rows = [plot(0)]
    reader = TrendReader(asked)
    reader._refresh()
    asked.error = error
    reader._refresh()
    found = reader.trends()
    assert (found.note, found.known, found.totals[-1].made) == (note, True, 1)


def test_days_before_yesterday_are_read_once_unless_other_hosts_are_missing() -> None:
    asked = Asked()
    asked.rows, asked.missing = [plot(5), plot(0)], {"p2": "p2 is silent."}
    reader = TrendReader(asked)
    reader._refresh()
    asked.rows = [plot(0), plot(0)]
    reader._refresh()
    assert [day.made for day in reader.trends().totals if day.made] == [1, 2]
    asked.missing = {}  # it is back, and its older days are not known
    reader._refresh()
    reader._refresh()
    reader._refresh()
    whole = DAYS - 1
    assert asked.days() == [whole, 1, 1, whole, 1]


def test_what_a_host_invents_takes_a_bounded_room() -> None:
    rows: list[Row] = [plot(0, plotter=f"p{number}", size_bytes=2**62) for number in range(2_000)]
    day = read(rows).totals[-1]
    assert day.made == 2_000
    assert len(day.phases) < 100
    assert day.made_bytes < 2_000 * 2**50


def test_a_host_that_invents_plots_takes_no_room_of_others() -> None:
    """Its rows come first, as many as it likes, of as many classes and drives."""
    flood: list[Row] = [plot(0, host="liar", plotter=f"x{number % 500}") for number in range(30_000)]
    flood += [landed(0, "liar", f"/{number}") for number in range(5_000)]
    honest: list[Row] = [plot(0, host=f"p{number}", phase1_s=10) for number in range(20) for _ in range(50)]
    found = read([*flood, *honest, landed(0)])
    day = found.totals[-1]
    assert len(read([plot(0)] * 5_000).totals[-1].phases["chia", 32, None]) == 100, "a sample of its day"
    assert day.made < 12_000
    assert len(day.phases["chia", 32, None]) == len(honest)
    assert found.phase_times()[0] == ("chia", 32, None)
    assert found.bytes_per_day()["h1", "/d"] == 100
    assert len(day.arrived) < 2_000
