"""Plots per day, and when the drives are full: honest where that is not known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from common.history.recorder import RecentCounts
from common.history.rows import End, PlotEnd, TransferEnd
from common.model.snapshot import ArchiverSnapshot, DirState, Drive, DriveUse, HarvesterSnapshot, Tally
from plotman.cli.console import as_text
from plotman.control.farm import FarmState
from plotman.control.queries.attention import calm_lines
from plotman.control.queries.forecast import forecast, pace, paces_table, sentence
from plotman.control.queries.tables import drives_table
from plotman.dashboard import headline
from plotman.flower.summary import cards as cards_of
from tests.support import showcase

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TIB = 2**40


def farm(drives: tuple[Drive, ...], tally: Tally | None) -> FarmState:
    return FarmState(
        at=NOW,
        plotters={},
        archivers={"p1": ArchiverSnapshot(host="p1", at=NOW, tally=tally)},
        harvesters={"h1": HarvesterSnapshot(host="h1", at=NOW, drives=drives)},
        waits=None,
        stale=frozenset(),
    )


def drive(free_tib: float | None, use: DriveUse = DriveUse.ACTIVE) -> Drive:
    free_bytes = None if free_tib is None else int(free_tib * TIB)
    return Drive(path=f"/mnt/{free_tib}", state=DirState.OK, use=use, free_bytes=free_bytes)


def sent(tib_in_all: float, ago: timedelta) -> Tally:
    return Tally(week_count=10, week_bytes=int(tib_in_all * TIB), since=NOW - ago)


@pytest.mark.parametrize(
    ("drives", "tally", "days", "said"),
    [
        (
            (drive(6), drive(8)),
            sent(14, timedelta(days=30)),
            7.0,
            "full in 7.0 days, at the pace of the last 7 days",
        ),
        (
            (drive(8),),
            sent(1, timedelta(hours=12)),
            4.0,
            "full in 4.0 days, at the pace of the last 12 hours",
        ),
        (
            (drive(8), drive(9, DriveUse.DRAINING)),
            sent(8, timedelta(days=7)),
            7.0,
            "1 drive with 8.8 TB free:",
        ),
        ((drive(7), drive(None)), sent(7, timedelta(days=9)), 7.0, "(not known of 1 more)"),
        ((drive(8),), sent(0, timedelta(days=30)), None, "nothing was archived in the last 7 days"),
        ((drive(8),), sent(1, timedelta(minutes=9)), None, "plots were archived for less than an hour"),
        ((drive(8),), None, None, "plots were archived for less than an hour"),
        ((), sent(1, timedelta(days=9)), None, "no drive takes plots"),
        ((drive(None),), sent(1, timedelta(days=9)), None, "the free space of the drives is not known"),
    ],
)
def test_days_until_the_drives_are_full(
    drives: tuple[Drive, ...], tally: Tally | None, days: float | None, said: str
) -> None:
    told = forecast(farm(drives, tally))
    assert told.days == (pytest.approx(days) if days is not None else None)
    assert said in sentence(told)


@pytest.mark.parametrize(
    ("age", "span", "pulse", "rate"),
    [
        (timedelta(minutes=20), "20m 0s", "10 plots and 1.1 TB in 20m 0s", "10"),
        (timedelta(hours=2), "2h 0m", "10 plots and 1.1 TB in 2h 0m", "120.0"),
        (timedelta(days=2), "24 h", "10 plots and 1.1 TB a day", "5.0"),
    ],
    ids=["first hour", "first day", "later"],
)
def test_what_a_young_farm_made_is_shown_with_the_time_that_it_took(
    age: timedelta, span: str, pulse: str, rate: str
) -> None:
    young = Tally(day_count=10, day_bytes=TIB, week_count=10, week_bytes=TIB, since=NOW - age)
    seen = replace(
        farm((), young), plotters={"p1": showcase.plotter("p1", showcase.tmp_dir("/t"), tally=young)}
    )
    assert pulse in headline.pulse(seen, 120).text
    cards = {card.label: card for card in cards_of(seen, 0)}
    assert (cards["Plots/day"].value, cards["Plots/day"].more) == (rate, f"10 in {span}")
    assert cards["TiB/day"].more == f"1.00 archived in {span}"


def test_free_space_is_what_plots_may_still_take_wherever_it_is_shown() -> None:
    full = Drive(path="/f/1", state=DirState.OK, free_bytes=99, device="8:1", full=True)
    some = Drive(path="/f/2", state=DirState.OK, free_bytes=5_100, total_bytes=9_000, device="8:2")
    for drives, free, card, said in (
        ((full, some), "5.0 kB", "", "2 drives with 5.0 kB free; when"),
        ((full,), "0 B", "full", "1 drive with 0 B free: full."),
    ):
        harvester = HarvesterSnapshot(host="h1", at=NOW, drives=drives, margin_bytes=100)
        seen = replace(farm(drives, None), harvesters={"h1": harvester})
        (shown,) = (each for each in cards_of(seen, 0) if each.label == "Free space")
        assert (shown.value, shown.more) == (free, card)
        assert calm_lines(seen)[-1] == f"Drives: {len(drives) - 1} of {len(drives)} take plots, {free} free"
        assert sentence(forecast(seen)).startswith(said)
        assert drives_table(seen).rows[-1][3] == free
        assert ("drives full" in headline.pulse(seen, 120).text) is (card == "full")


def test_the_pace_of_several_hosts_is_their_sum_over_the_time_of_the_oldest() -> None:
    both = pace([sent(7, timedelta(days=30)), sent(7, timedelta(days=1)), None], NOW)
    assert both.bytes_per_day == 2 * TIB
    rows = paces_table(farm((), sent(7, timedelta(days=14)))).rows
    assert rows == (("archived", "p1", "0", "0.00", "10", "7.00", "1.4", "1.00"),)


def test_a_tally_counts_each_plot_once_in_the_hour_it_ended() -> None:
    tally = RecentCounts()
    for number, ago in enumerate([timedelta(minutes=59), timedelta(minutes=61), timedelta(hours=25)]):
        for _ in range(2):
            tally.add(
                PlotEnd(
                    key=str(number),
                    host="p",
                    task_id="t",
                    plotter="chia",
                    end=End.DONE,
                    ended_at=NOW - ago,
                    size_bytes=100,
                )
            )
    # The second try to send a plot that was sent before counts no more.
    for task in ("a", "b"):
        tally.add(TransferEnd(key=task, host="p", end=End.SENT, ended_at=NOW, plot_id="x", size_bytes=7))
    tally.add(TransferEnd(key="c", host="p", end=End.FAILED, ended_at=NOW, plot_id="y", size_bytes=7))
    told = tally.at(NOW)
    assert told.hours_count == (*(0,) * 22, 1, 2)
    assert told.hours_bytes == (*(0,) * 22, 100, 107)
    assert (told.day_count, told.week_count, told.week_bytes) == (3, 4, 307)
    assert told.since == NOW - timedelta(hours=25)
    assert tally.at(NOW + timedelta(days=6, hours=23, minutes=30)).week_count == 1


def test_a_narrow_terminal_loses_columns_and_cuts_no_number() -> None:
    archivers = {"harvester1": ArchiverSnapshot(host="harvester1", at=NOW, tally=Tally(day_count=1))}
    table = paces_table(FarmState(NOW, {}, archivers, {}, None, frozenset()))
    text = as_text(table, 40)
    assert "harvester1" in text
    assert "TiB/day" in text
    assert "plots 24h" not in text
    assert max(map(len, text.splitlines())) <= 40 + len("\x1b[1m\x1b[0m")


def test_folders_on_one_file_system_have_its_free_space_once() -> None:
    one, two = (drive(size).model_copy(update={"device": "8:1"}) for size in (8, 8))
    other = drive(2).model_copy(update={"device": "8:2"})
    found = forecast(farm((one, two.model_copy(update={"path": "/mnt/same"}), other), None))
    assert found.free_bytes == 10 * TIB
    assert found.drives == 3
