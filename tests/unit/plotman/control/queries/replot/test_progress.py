"""How the replacing of old plots proceeds, as each front end shows it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from beat.policy.remedies import Harm
from common.model.replot_report import ReplotClassReport, ReplotReport, ReplotState
from plotman.control.farm import FarmState, NoSuchHost
from plotman.control.queries.attention import Need, attention, calm_lines
from plotman.control.queries.explain import explain
from plotman.control.queries.replot.progress import status_dict, status_sentences, status_table
from plotman.control.queries.why import FarmPicture
from plotman.dashboard import headline
from plotman.flower import summary
from tests.support.stored import T, farm, harvester

TB = 10**12


def report(state: ReplotState = ReplotState.WAITING, **more: Any) -> ReplotReport:
    classes = (
        ReplotClassReport(name="og", deleted_plots=10, deleted_bytes=TB, left_plots=30, left_bytes=3 * TB),
        ReplotClassReport(name="c7", not_before=T + timedelta(days=9), left_plots=4, left_bytes=TB),
    )
    figures = {"deleted_plots": 10, "deleted_bytes": TB, "new_plots": 1200, "new_bytes": TB + 10**9}
    return ReplotReport(**{"state": state, "since": T, "classes": classes, **figures} | more)


def with_orders(*reports: ReplotReport, silent: tuple[str, ...] = ()) -> FarmState:
    harvesters = [harvester(host=f"h{number}", replot_report=one) for number, one in enumerate(reports, 1)]
    return farm(harvester(host="h9"), *harvesters, silent=silent)


def lines(at: FarmState) -> list[str]:
    return [line for line in calm_lines(at) if line.startswith("Replot")]


def of_hosts(at: FarmState) -> list[Need]:
    return [need for need in attention(at) if need.host]


def test_an_order_that_waits_for_new_plots_is_one_calm_line() -> None:
    at = with_orders(report(why="no new plot has arrived"))
    assert lines(at) == ["Replot: waiting, 10 of 44 old plots deleted, 4.0 TB left, 1200 new plots arrived"]
    assert of_hosts(at) == []


def test_orders_of_several_hosts_are_summed_and_the_worst_state_is_named() -> None:
    at = with_orders(report(), report(ReplotState.STOPPED))
    assert lines(at) == [
        "Replot: stopped on 2 hosts, 20 of 88 old plots deleted, 8.0 TB left, 2400 new plots arrived"
    ]


def test_a_host_whose_report_cannot_be_read_may_have_an_order_and_says_how_to_ask_it() -> None:
    at = replace(with_orders(report()), spoilt={"h7": "Keys of h7 cannot be read: x."})
    (named,) = [text for text in status_sentences(at, None) if text.startswith("h7")]
    assert named == (
        "h7 may replace old plots: its report cannot be read (Keys of h7 cannot be read: x). "
        "`plotman replot pause --host h7` asks it."
    )
    assert list(status_sentences(at, "h7")) == [named]
    assert status_table(at, "h7").rows == ()
    with pytest.raises(NoSuchHost):
        list(status_sentences(at, "h8"))


def test_without_an_order_there_is_no_line() -> None:
    assert lines(with_orders()) == []


def test_figures_that_a_harvester_does_not_know_yet_are_left_out() -> None:
    unknown = report(classes=(ReplotClassReport(name="og", deleted_plots=10),))
    assert lines(with_orders(unknown)) == ["Replot: waiting, 10 old plots deleted, 1200 new plots arrived"]


@pytest.mark.parametrize(
    ("state", "why", "harm", "text", "cure"),
    [
        (
            ReplotState.STOPPED,
            "/1 cannot be read",
            Harm.STOPS,
            "h1: replot is stopped: /1 cannot be read",
            "plotman replot stop",
        ),
        (
            ReplotState.PAUSED,
            "holidays",
            Harm.WANTED,
            "h1: replot is paused: holidays",
            "plotman replot resume --host h1",
        ),
        (
            ReplotState.DONE,
            "",
            Harm.WANTED,
            "h1: replot is done: no plot of its classes is left",
            "plotman replot stop",
        ),
    ],
    ids=["stopped", "paused", "done"],
)
def test_an_order_of_which_no_plot_goes_is_named_with_what_to_do(
    state: ReplotState, why: str, harm: Harm, text: str, cure: str
) -> None:
    (need,) = of_hosts(with_orders(report(state, why=why)))
    assert (need.harm, need.text) == (harm, text)
    assert cure in need.remedy


def test_status_has_a_row_for_each_class_and_host() -> None:
    at = with_orders(report(), report(), silent=("h2",))
    assert status_table(at, None).rows == (
        ("h1", "og", "waiting", "30", "3.0 TB", "10", "1.0 TB"),
        ("h1", "c7", "from 2026-12-09", "4", "1.0 TB", "0", "0 B"),
        ("h2", "og", "silent", "30", "3.0 TB", "10", "1.0 TB"),
        ("h2", "c7", "silent", "4", "1.0 TB", "0", "0 B"),
    )
    assert [row[0] for row in status_table(at, "h2").rows] == ["h2", "h2"]
    with pytest.raises(NoSuchHost, match="h7"):
        status_table(at, "h7")


@pytest.mark.parametrize(
    ("one", "first"),
    [
        (report(why="no new plot has arrived"), "h1 waits: no new plot has arrived."),
        (report(ReplotState.RUNNING, victim="/1/old.plot"), "h1 deletes /1/old.plot."),
        (report(ReplotState.RUNNING, victim="/1/a", why="deletes /1/a"), "h1 deletes /1/a."),
        (report(ReplotState.RUNNING, victim="/1/a", why="/1 hangs"), "h1 deletes /1/a: /1 hangs."),
        (report(ReplotState.PAUSED), "h1 is paused."),
        (ReplotReport(state=ReplotState.STOPPED, why="damaged file"), "h1 is stopped: damaged file."),
    ],
    ids=["waiting", "running", "at work", "held up", "paused", "damaged"],
)  # fmt: skip
def test_status_says_what_a_harvester_does_and_waits_for(one: ReplotReport, first: str) -> None:
    found = list(status_sentences(with_orders(one), None))
    assert found[0] == first
    assert len(found) == (1 if one.since is None else 2)


def test_status_says_what_arrived_and_how_much_of_the_day_is_used() -> None:
    one = report(unused_bytes=10**9, max_per_day=5, deleted_today=2)
    assert list(status_sentences(with_orders(one), None))[1] == (
        "h1: 1200 new plots (1.0 TB) arrived and were proved since 2026-11-30 00:00 UTC, of which 1.0 GB are "
        "spare. 1.0 TB of old plots were deleted. Today: 2 of 5."
    )


def test_json_has_the_report_of_each_host() -> None:
    found = json.loads(json.dumps(status_dict(with_orders(report(why="x")), None)))
    (one,) = found["hosts"]
    assert (one["host"], one["silent"], one["state"], one["text"]) == ("h1", False, "waiting", "waits: x")
    assert one["classes"][0]["left_plots"] == 30


def test_the_dashboard_has_the_line_and_the_page_of_the_farm_a_card() -> None:
    at = with_orders(report())
    assert [line.text for line in headline.status(at) if line.text.startswith("Replot")] == lines(at)
    (card,) = (card for card in summary.cards(at, 0) if card.label == "Old plots deleted")
    assert (card.value, card.more) == ("10 of 44", "4.0 TB left, 1,200 new")
    assert "Old plots deleted" not in {card.label for card in summary.cards(with_orders(), 0)}


def test_why_explains_an_order_that_waits() -> None:
    at = with_orders(report(why="no new plot has arrived"))
    answers = list(explain(FarmPicture(farm=at, orders={}, moves={}, waits=(), starts=(), leader=None)))
    assert "replot waits: no new plot has arrived" in {answer.text for answer in answers}
