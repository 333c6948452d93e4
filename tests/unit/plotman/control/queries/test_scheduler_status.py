"""Where no scheduler decides every view says so, and the last one's reasons are not shown as of now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from common.model.snapshot import Waits
from plotman.control.farm import FarmState, narrowed
from plotman.control.queries import reports, scheduler_status, tables
from plotman.dashboard import headline, panes
from plotman.flower import sections
from plotman.metrics.families import MetricsReading, decisions
from tests.support import showcase

REASON = "stagger 1623s/1800s"
FARM = replace(showcase.small(), leader="hub:1")


def told_ago(seconds: float, leader: str | None = None) -> FarmState:
    assert FARM.waits is not None
    at = FARM.at - timedelta(seconds=seconds)
    return replace(FARM, leader=leader, waits=FARM.waits.model_copy(update={"at": at}))


def shown(farm: FarmState) -> Iterator[tuple[str, str]]:
    """What users and programs read of what waits, by the place where they do."""
    yield "status", str([tables.waits_table(farm), tables.tmp_table(farm), reports.status_json(farm)])
    yield "dashboard", str([headline.status(farm), panes.all_tables(farm, None)])
    yield "Flower", str(sections.page(farm).sections)
    yield "metrics", str([sample for family in decisions(MetricsReading(farm)) for sample in family.samples])


@pytest.mark.parametrize(
    ("farm", "missed"),
    [
        pytest.param(told_ago(0, "hub:1"), False, id="one decides"),
        pytest.param(told_ago(900, "hub:1"), False, id="one holds the lease, by a clock that is wrong"),
        pytest.param(told_ago(50), False, id="one is restarted"),
        pytest.param(told_ago(61), True, id="none has for a minute"),
        pytest.param(replace(FARM, leader=None, waits=None), True, id="none ever did"),
        pytest.param(
            FarmState(FARM.at, {}, {}, {}, None, frozenset()), False, id="there is nothing to decide"
        ),
    ],
)
def test_that_nobody_decides_is_said_when_it_is_no_restart(farm: FarmState, missed: bool) -> None:
    assert scheduler_status.nobody_decides(farm) is missed
    assert (scheduler_status.note(farm) is not None) is missed


def test_all_who_look_are_told_first_that_nobody_decides_and_since_when() -> None:
    farm = told_ago(840)
    note = (
        "no scheduler decides; the last decision was 14m 0s ago. Nothing new starts or moves. "
        "Start `plotman up` on the scheduler's machine: of several, the one with farm.scheduler: true."
    )
    assert reports.notes(farm)[0] == note
    assert reports.notes(narrowed(farm, "p1"))[0] == note
    assert reports.status_json(farm)["notes"][0] == note
    assert headline.notes(farm)[0].text == note
    assert sections.page(farm).needs.lines[0].text == note


def test_reasons_are_shown_everywhere_while_one_decides_or_is_restarted() -> None:
    for farm in (told_ago(0, "hub:1"), told_ago(50)):
        for where, text in shown(farm):
            assert (REASON if where != "metrics" else "'stagger'") in text, where
            assert scheduler_status.NOBODY not in text, where


def test_old_reasons_are_shown_nowhere_when_nobody_decides() -> None:
    for where, text in shown(told_ago(61)):
        for old in ("stagger'", REASON, "othing waits"):
            assert old not in text, where
        assert scheduler_status.NOBODY in text or where == "metrics", where


def test_no_tmp_directory_is_ready_while_nobody_decides() -> None:
    farm = replace(told_ago(61), waits=Waits(beat="b", at=FARM.at - timedelta(days=3)))
    assert {row[2] for row in tables.tmp_table(farm).rows} == {"--"}
    assert {row.cells[2].text for row in panes.all_tables(farm, None)["tmp"].rows} == {"--"}
