"""The plan in tables, sentences, a chart and JSON, and the example of the section `replot`."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import yaml

from beat.policy.replot.planner import Kept, PlotGroup
from common.config.sections.replot import Replot
from common.model.plot_class import PlotClass
from common.model.replot_victims import DriveId
from plotman.control.queries.replot.chart import chart_lines
from plotman.control.queries.replot.document import as_dict
from plotman.control.queries.replot.example import example
from plotman.control.queries.replot.plan import PlanLimits
from plotman.control.queries.replot.sentences import remarks, sentences
from plotman.control.queries.replot.tables import classes_table, kept_table
from plotman.control.rpc import TaskCall
from tests.support.replotted import C7_BYTES, CLASSES, K32, asked, paced
from tests.support.stored import C7, OG, drive, harvester


def test_the_pace_beside_one_machine_is_said_to_be_of_the_whole_farm(calls: list[TaskCall]) -> None:
    pace = "Pace: 4.4 TB a day, of the whole farm, archived in the last 7 days"
    assert pace in " ".join(sentences(asked(PlanLimits(host="h1"))))
    assert "whole farm" not in " ".join(sentences(asked()))
    assert "whole farm" not in asked(PlanLimits(host="h1", rate_bytes=5e12)).rate_source


def test_a_pace_that_comes_to_no_end_has_no_date(calls: list[TaskCall]) -> None:
    text = list(sentences(asked(PlanLimits(rate_bytes=1e6), start="now")))
    assert "Pace: 1.0 MB a day, as given." in text
    assert "The last of them would be replaced more than 273 years from now." in text
    text = list(sentences(asked(PlanLimits(rate_bytes=1e12), start="now")))
    assert "Pace: 1.0 TB a day, as given." in text
    assert "All are replaced by 2027-03-19." in text
    assert not any("from now" in one for one in text)


@pytest.mark.parametrize(
    ("settings", "remarked"),
    [
        ({"start": "now"}, True),
        ({"start": "now", "fork_height": 9_700_000}, True),
        ({"start": "2026-12-10", "fork_height": 9_700_000}, True),
        ({"start": "2026-12-12", "fork_height": 9_700_000}, False),
        ({"start": "now", "fork_height": 9_562_000}, False),
        ({"start": "fork"}, False),
        ({"start": "fork", "fork_height": 9_700_000}, False),
    ],
    ids=["fork unknown", "now", "day before", "day after", "fork past", "fork, unknown", "fork"],
)
def test_plots_that_go_before_the_fork_are_remarked_and_later_ones_are_not(
    calls: list[TaskCall], settings: dict[str, Any], remarked: bool
) -> None:
    said = list(remarks(asked(**settings)))
    assert any("lets plots go before the fork" in one for one in said) is remarked


def test_what_a_farmer_should_know_is_remarked(calls: list[TaskCall]) -> None:
    turned = asked(classes={"c7": CLASSES["c7"], "og": CLASSES["og"]}, start="now")
    said = list(remarks(turned))
    assert any("og begins to pay earlier than c7" in one for one in said)
    assert any("the new plots farm nothing until then" in one for one in said)
    roomy = paced(harvester(drive("/1", free_bytes=10**12), drive("/2")))
    assert list(remarks(asked(at=roomy, fork_height=9_700_000))) == []
    (short,) = remarks(asked(fork_height=9_700_000))
    assert short.startswith(
        "h1 has 2.0 GB free above low water, and should have 110.9 GB: before an old plot"
    )


def test_the_texts_have_the_numbers(calls: list[TaskCall]) -> None:
    answer = asked(fork_height=9_700_000)
    assert classes_table(answer).rows == (
        ("og", "1,000", "108.9 TB", "2", "1.00", "2026-12-11", "2026-12-11", "2027-01-05"),
        ("c7", "2", "161.3 GB", "1", "1.35", "2027-02-14", "2027-02-14", "2027-02-14"),
    )
    text = "\n".join(sentences(answer))
    assert "A plot of og frees 108.9 GB, room for one group of 108 new plots, or 3 groups of 32, or" in text
    assert "Pace: 4.4 TB a day, archived in the last 7 days." in text
    assert "All are replaced by 2027-02-14." in text
    assert "From 2027-08-22 on, the network accepts no proof of an old plot." in text
    lines = list(chart_lines(answer))
    assert [line.split()[0] for line in lines[1:]] == ["old", "new", "both", "unchanged"]
    assert lines[2].startswith("new       ···")


def test_a_plan_of_nothing_says_so_and_divides_by_nothing(calls: list[TaskCall]) -> None:
    answer = asked(classes={"k33": {"k": 33}}, fork_height=9_700_000)
    assert list(sentences(answer)) == ["No plot belongs to a class that may be replaced: every plot stays."]
    assert list(chart_lines(answer)) == []
    assert classes_table(answer).rows[0][:2] == ("k33", "0")
    assert as_dict(answer)["plots"] == 0


def test_a_pace_of_a_plot_in_a_century_breaks_no_calendar(calls: list[TaskCall]) -> None:
    answer = asked(PlanLimits(rate_bytes=1.0), start="now", fork_height=9_700_000)
    assert classes_table(answer).rows[0][-1] == "never"
    assert as_dict(answer)["classes"][0]["ends_at"] is None


def test_the_example_names_each_kind_once_and_lets_nothing_go_before_its_owner_says_so() -> None:
    def group(of: dict[str, Any], plots: int, each: int) -> PlotGroup:
        return PlotGroup(DriveId("h1", ""), PlotClass(**of), None, plots, plots, plots * each)

    text = example(
        [
            group(C7, 2, C7_BYTES),
            group(OG, 5, K32),
            group(OG | {"format": "bladebit 2"}, 1, K32),
            group(C7 | {"format": "PoS2 02", "k": 28}, 9, 10**9),
        ]
    )
    assert Replot.model_validate(yaml.safe_load(text)["replot"]).old == ()
    chosen = yaml.safe_load(re.sub(r"(?m)^    #(?! )|^    #(?=  )", "    ", text))["replot"]
    assert [(one.name, one.levels, one.pool_key) for one in Replot.model_validate(chosen).old] == [
        ("1-k32-c0", (0,), "ab" * 48),
        ("2-k32-c7", (7,), "05" * 32),
    ]
    assert "6 plots (653.3 GB): k32 uncompressed, pool key abababab; worth 1.00 per byte" in text
    assert "no plots that could be replaced" in example([])


def test_a_host_that_claims_kinds_and_bytes_without_end_pushes_no_other_from_the_example() -> None:
    liar = [
        PlotGroup(DriveId("a", ""), PlotClass(**OG | {"pool_key": f"{number:096x}"}), None, 1, 1, 10**15)
        for number in range(100)
    ]
    text = example([*liar, PlotGroup(DriveId("h2", ""), PlotClass(**C7), None, 2, 2, 2 * C7_BYTES)])
    assert "2 plots (161.3 GB): k32 C7 bladebit, contract 05050505" in text
    assert text.count("compression:") == 32


def test_kinds_of_plots_without_end_fill_no_screen(calls: list[TaskCall]) -> None:
    answer = asked()
    kept = tuple(Kept("why", PlotClass(**OG), number, 1) for number in range(120))
    many = replace(answer, plan=replace(answer.plan, kept=kept))
    assert len(kept_table(many).rows) == 100
    assert "20 more kinds of plots stay; --json lists all of them." in list(remarks(many))
