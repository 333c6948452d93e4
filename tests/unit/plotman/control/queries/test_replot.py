"""What the plan is made of: answers of harvesters, drives of snapshots, pace of the farm; and its texts."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from beat.policy.replot.planner import PlotGroup
from common.config.sections.replot import Replot
from common.errors import OrderRefused, PlotmanError
from common.model.inventory import FileRow, SumRow
from common.model.plot_class import PlotClass, PoolKind
from common.model.snapshot import (
    ArchiverSnapshot,
    DirState,
    DiskHealth,
    Drive,
    DriveUse,
    Evacuating,
    HarvesterSnapshot,
    Hold,
    Tally,
)
from common.names import Role
from plotman.control.farm import FarmState
from plotman.control.queries import inventory, replot_text
from plotman.control.queries.replot import NoSuchClass, PlanAnswer, PlanLimits, ask, drive_states
from plotman.control.rpc import TaskCall

T = datetime(2026, 11, 30, tzinfo=UTC)
K32, C7_BYTES = 108_877_420_954, 80_650_000_000
OG = {"format": "v1.0", "k": 32, "compression": 0, "pool": PoolKind.KEY, "pool_key": "ab" * 48}
C7 = {"format": "bladebit 2", "k": 32, "compression": 7, "pool": PoolKind.CONTRACT, "pool_key": "05" * 32}
CLASSES = {"og": {"compression": 0}, "c7": {"compression": 7}}
TIB = 2**40


def harvester(*drives: Drive, **more: Any) -> HarvesterSnapshot:
    drives = drives or (drive("/1"), drive("/2"))
    return HarvesterSnapshot(**{"host": "h1", "at": T, "drives": drives, "replot": True} | more)


def drive(path: str, **more: Any) -> Drive:
    return Drive(**{"path": path, "state": DirState.OK, "free_bytes": 10**9} | more)


def farm(*harvesters: HarvesterSnapshot, tib_per_day: float = 0) -> FarmState:
    tally = Tally(since=T - timedelta(days=7), week_count=7, week_bytes=round(7 * tib_per_day * TIB))
    archiver = ArchiverSnapshot(host="p1", at=T, tally=tally)
    return FarmState(
        at=T,
        plotters={},
        archivers={"p1": archiver},
        harvesters={one.host: one for one in harvesters or (harvester(),)},
        waits=None,
        stale=frozenset(),
    )


def row(
    path: str, of: dict[str, Any], plots: int, each: int, month: str | None = "2021-05"
) -> dict[str, Any]:
    made = SumRow(**of, drive=path, month=month, plots=plots, files=plots, bytes=plots * each)
    return made.model_dump(mode="json")


def file(path: str, name: str, of: dict[str, Any], size_bytes: int) -> dict[str, Any]:
    made = FileRow(drive=path, name=name, size_bytes=size_bytes, plots=1, plot_class=PlotClass(**of))
    return made.model_dump(mode="json")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[TaskCall]:
    """The harvester h1 answers: 5000 plots of 100 TiB without compression and two of C7."""
    made: list[TaskCall] = []

    def answer(call: TaskCall) -> Any:
        if call.kwargs["what"] == "sums":
            sums = [row("/1", OG, 500, K32), row("/2", OG, 500, K32), row("/2", C7, 2, C7_BYTES)]
            return {"drives": [], "duplicates": 0, "sums": sums, "next": None}
        (of,) = call.kwargs["classes"]
        if of["compression"] == 7:
            return {"files": [file(path, "c", C7, C7_BYTES) for path in ("/1", "/2")], "next": None}
        names = [(path, name) for path in ("/1", "/2", "/elsewhere") for name in ("a", "b")]
        return {"files": [file(path, name, OG, K32) for path, name in names], "next": None}

    def ask_each(questions: list[TaskCall], **_: Any) -> list[Any]:
        made.extend(questions)
        return [answer(call) for call in questions]

    monkeypatch.setattr(inventory, "ask_each", ask_each)
    monkeypatch.setattr(inventory, "hosts_of", lambda *_: (["h1"], ["h1"]))
    return made


def asked(limits: PlanLimits | None = None, at: FarmState | None = None, **settings: Any) -> PlanAnswer:
    section = Replot.model_validate({"classes": CLASSES} | settings)
    return ask(section, at or farm(tib_per_day=4), limits or PlanLimits())


def test_harvesters_are_asked_once_for_sums_and_once_for_each_class(calls: list[TaskCall]) -> None:
    answer = asked()
    assert [(one.old.name, one.plots, one.drives) for one in answer.plan.classes] == [
        ("og", 1000, 2),
        ("c7", 2, 1),
    ]
    assert [call.kwargs["what"] for call in calls] == ["sums", "classed", "classed"]
    assert [(one.victim.place[1], one.victim.name, one.at_once) for one in answer.first] == [
        ("/1", "a", True),
        ("/1", "b", False),
        ("/2", "a", False),
        ("/2", "b", False),
    ]


def test_limits_narrow_what_is_listed_and_never_what_is_summed(calls: list[TaskCall]) -> None:
    answer = asked(PlanLimits(first=1, drives=1))
    assert [(one.victim.place[1], one.victim.name) for one in answer.first] == [("/1", "a")]
    assert (answer.plan.plots, answer.others) == (1002, 1)
    assert asked(PlanLimits(first=0)).first == ()
    only = asked(PlanLimits(classes=("c7",)))
    assert [one.old.name for one in only.plan.classes] == ["c7"]
    with pytest.raises(NoSuchClass, match=r"no class c8.*It has og, c7"):
        asked(PlanLimits(classes=("c8",)))


def test_a_file_that_the_sums_do_not_have_is_not_listed(calls: list[TaskCall]) -> None:
    found = asked(PlanLimits(first=9)).first
    assert {(one.victim.place[1], one.victim.name) for one in found if one.victim.number == 1} == {
        ("/2", "c")
    }


def test_a_month_is_passed_on(calls: list[TaskCall]) -> None:
    asked(classes={"og": CLASSES["og"] | {"made_before": "2022-01"}})
    assert [call.kwargs.get("made_before") for call in calls] == [None, "2022-01"]


def test_a_listed_file_whose_size_does_not_fit_is_left_out(
    calls: list[TaskCall], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: Callable[..., list[Any]] = inventory.ask_each

    def smaller(questions: list[TaskCall], **more: Any) -> list[Any]:
        found = answers(questions, **more)
        for answer in found:
            for one in answer.get("files", ()):
                one["size_bytes"] = 300_000 if one["name"] == "a" else one["size_bytes"]
        return found

    monkeypatch.setattr(inventory, "ask_each", smaller)
    assert [(one.victim.place[1], one.victim.name) for one in asked().first] == [
        ("/1", "b"),
        ("/2", "b"),
        ("/2", "c"),
    ]


@pytest.mark.parametrize(
    "headers",
    [{"format": "v1.0"}, {"format": "v1.0", "k": 2000}, {"format": "v1.0", "k": -5}, {"format": "PoS2"}],
)
def test_a_harvester_that_answers_with_other_files_than_asked_for_lists_none(
    calls: list[TaskCall], monkeypatch: pytest.MonkeyPatch, headers: dict[str, Any]
) -> None:
    answers: Callable[..., list[Any]] = inventory.ask_each

    def others(questions: list[TaskCall], **more: Any) -> list[Any]:
        found = answers(questions, **more)
        for answer in found:
            for one in answer.get("files", ()):
                one["plot_class"] = headers
        return found

    monkeypatch.setattr(inventory, "ask_each", others)
    assert asked().first == ()


def test_a_harvester_that_refuses_is_missing_and_the_plan_goes_on(
    calls: list[TaskCall], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: Callable[..., list[Any]] = inventory.ask_each

    def older(questions: list[TaskCall], **more: Any) -> list[Any]:
        found: list[Any] = answers(questions, **more)
        refused: PlotmanError = OrderRefused("It knows no classed.")
        pairs = zip(questions, found, strict=True)
        return [refused if call.kwargs["what"] == "classed" else one for call, one in pairs]

    monkeypatch.setattr(inventory, "ask_each", older)
    answer = asked()
    assert (answer.plan.plots, answer.first) == (1002, ())
    assert answer.missing == {"h1": "It knows no classed."}


@pytest.mark.parametrize(
    ("snapshot", "closed"),
    [
        (harvester(drive("/1")), None),
        (harvester(drive("/1"), replot=False), "harvester.replot is off on h1"),
        (harvester(drive("/1", use=DriveUse.DISABLED)), "the drive is disabled"),
        (harvester(drive("/1", use=DriveUse.DRAINING)), "the drive is draining"),
        (harvester(drive("/1", drained=Hold())), "the drive is draining"),
        (harvester(drive("/1"), drained=Hold()), "the drive is draining"),
        (harvester(drive("/1", state=DirState.READ_ONLY)), "the drive is read-only"),
        (harvester(drive("/1", state=DirState.UNKNOWN)), "the drive is unknown"),
        (harvester(drive("/1", disk=DiskHealth(names=("sda",), fails=True))), "the disk expects to fail"),
        (harvester(drive("/1", disk=DiskHealth(names=("sda",), fails=False))), None),
        (harvester(drive("/1"), evacuations=(Evacuating(drive="/1", since=T),)), "the drive is evacuated"),
        (harvester(drive("/1"), evacuations=(Evacuating(drive="/2", since=T),)), None),
    ],
    ids=[
        "well", "off", "disabled", "draining", "held", "host held", "read-only", "unknown", "failing",
        "healthy", "evacuated", "other evacuated",
    ],
)  # fmt: skip
def test_plots_stay_on_a_drive_that_its_owner_or_its_state_keeps(
    snapshot: HarvesterSnapshot, closed: str | None
) -> None:
    assert drive_states(farm(snapshot), Replot())["h1", "/1"].closed == closed


def test_the_drives_of_a_silent_harvester_are_unknown() -> None:
    at = farm(harvester())
    silent = FarmState(T, {}, {}, at.harvesters, None, frozenset({(Role.HARVESTER, "h1")}))
    assert drive_states(silent, Replot()) == {}


@pytest.mark.parametrize(
    ("farms", "own", "margin", "low_water"),
    [(5, None, 0, 5), (5, 3, 0, 3), (5, 0, 0, 0), (5, None, 9, 9), (5, 3, 9, 9)],
)
def test_low_water_is_the_harvesters_own_else_the_farms_and_never_less_than_the_margin(
    farms: int, own: int | None, margin: int, low_water: int
) -> None:
    at = farm(harvester(low_water_bytes=own, margin_bytes=margin))
    assert drive_states(at, Replot(low_water_bytes=farms))["h1", "/1"].low_water_bytes == low_water


def test_what_lacks_to_low_water_is_subtracted_once_from_two_folders_of_one_disk(
    calls: list[TaskCall],
) -> None:
    def lost_bytes(*drives: Drive) -> int:
        """What new plots do not take of the room of the old ones."""
        found = asked(at=farm(harvester(*drives)), low_water_bytes=10**11).plan
        return found.bytes - sum(one.new_bytes for one in found.drives)

    lacks = 10**11 - 10**9
    assert 0 <= lost_bytes(drive("/1", device="d"), drive("/2", device="d")) - lacks < 2 * 10**9
    assert 0 <= lost_bytes(drive("/1", device="d"), drive("/2", device="e")) - 2 * lacks < 3 * 10**9
    assert 0 <= lost_bytes(drive("/1"), drive("/2")) - 2 * lacks < 3 * 10**9


def test_the_pace_is_that_of_the_archived_plots_and_dates_follow_from_it(calls: list[TaskCall]) -> None:
    answer = asked(fork_height=9_700_000, at=farm(tib_per_day=4))
    assert answer.rate_bytes == pytest.approx(4 * TIB)
    assert answer.rate_source == "archived in the last 7 days"
    og, c7 = answer.spans or ()
    fork_day = (9_700_000 - 9_562_000) / 4608 - 18
    assert og.begins == pytest.approx(fork_day)
    assert og.ends - og.begins == pytest.approx(1000 * K32 / (4 * TIB))
    assert c7.begins == pytest.approx(fork_day + 65, abs=0.1)
    assert answer.needed_bytes == pytest.approx((1000 * K32 + 2 * C7_BYTES) / 254)
    assert 0.49 < (answer.mean_unchanged or 0) < (answer.mean or 0) < 1
    assert answer.chart is not None
    assert answer.chart.planned[-1].old == 0


@pytest.mark.parametrize(
    ("settings", "limits", "begins"),
    [
        ({"start": "now"}, PlanLimits(), 0),
        ({"start": "2026-12-10"}, PlanLimits(), 10),
        ({"fork_height": 9_562_000}, PlanLimits(), 0),
        ({"fork_height": 9_700_000}, PlanLimits(height=9_700_000 - 4608 * 7), 7),
    ],
    ids=["now", "date", "fork past", "height"],
)
def test_an_owner_says_when(
    calls: list[TaskCall], settings: dict[str, Any], limits: PlanLimits, begins: float
) -> None:
    answer = asked(limits, **settings)
    assert answer.spans is not None
    assert answer.spans[0].begins == pytest.approx(begins)


def test_a_pace_that_is_given_goes_before_the_measured_one_and_without_any_no_date_is_known(
    calls: list[TaskCall],
) -> None:
    assert asked(PlanLimits(rate_bytes=5e12)).rate_bytes == 5e12
    unknown = asked(at=farm(), fork_height=9_700_000)
    assert (unknown.rate_bytes, unknown.spans, unknown.mean) == (None, None, None)
    text = " ".join(replot_text.sentences(unknown))
    assert "When it is done is not known" in text
    assert [line.split()[0] for line in replot_text.chart_lines(unknown)][1:] == ["unchanged"]


def test_the_pace_beside_one_machine_is_said_to_be_of_the_whole_farm(calls: list[TaskCall]) -> None:
    pace = "Pace: 4.4 TB a day, of the whole farm, archived in the last 7 days"
    assert pace in " ".join(replot_text.sentences(asked(PlanLimits(host="h1"))))
    assert "whole farm" not in " ".join(replot_text.sentences(asked()))
    assert "whole farm" not in asked(PlanLimits(host="h1", rate_bytes=5e12)).rate_source


def test_a_pace_that_comes_to_no_end_has_no_date(calls: list[TaskCall]) -> None:
    text = list(replot_text.sentences(asked(PlanLimits(rate_bytes=1e6), start="now")))
    assert "Pace: 1.0 MB a day, as given." in text
    assert "The last of them would be replaced more than 273 years from now." in text
    text = list(replot_text.sentences(asked(PlanLimits(rate_bytes=1e12), start="now")))
    assert "Pace: 1.0 TB a day, as given: all are replaced by 2027-03-19." in text
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
    said = list(replot_text.remarks(asked(**settings)))
    assert any("lets plots go before the fork" in one for one in said) is remarked


def test_what_a_farmer_should_know_is_remarked(calls: list[TaskCall]) -> None:
    turned = asked(classes={"c7": CLASSES["c7"], "og": CLASSES["og"]}, start="now")
    said = list(replot_text.remarks(turned))
    assert any("og begins to pay earlier than c7" in one for one in said)
    assert any("until then their successors farm nothing" in one for one in said)
    assert list(replot_text.remarks(asked(fork_height=9_700_000))) == []


def test_the_texts_have_the_numbers(calls: list[TaskCall]) -> None:
    answer = asked(fork_height=9_700_000)
    assert replot_text.classes_table(answer).rows == (
        ("og", "1,000", "108.9 TB", "2", "1.00", "2026-12-11", "2026-12-11", "2027-01-05"),
        ("c7", "2", "161.3 GB", "1", "1.35", "2027-02-14", "2027-02-14", "2027-02-14"),
    )
    text = "\n".join(replot_text.sentences(answer))
    assert "A plot of og frees 108.9 GB: a group of 108 plots or 3 groups of 32" in text
    assert "Pace: 4.4 TB a day, archived in the last 7 days: all are replaced by 2027-02-14." in text
    lines = list(replot_text.chart_lines(answer))
    assert [line.split()[0] for line in lines[1:]] == ["old", "new", "both", "unchanged"]
    assert lines[2].startswith("new       ···")


def test_a_plan_of_nothing_says_so_and_divides_by_nothing(calls: list[TaskCall]) -> None:
    answer = asked(classes={"k33": {"k": 33}}, fork_height=9_700_000)
    assert list(replot_text.sentences(answer)) == [
        "No plot belongs to a class that may be replaced: every plot stays."
    ]
    assert list(replot_text.chart_lines(answer)) == []
    assert replot_text.classes_table(answer).rows[0][:2] == ("k33", "0")
    assert replot_text.as_dict(answer)["plots"] == 0


def test_a_pace_of_a_plot_in_a_century_breaks_no_calendar(calls: list[TaskCall]) -> None:
    answer = asked(PlanLimits(rate_bytes=1.0), start="now", fork_height=9_700_000)
    assert replot_text.classes_table(answer).rows[0][-1] == "never"
    assert replot_text.as_dict(answer)["classes"][0]["ends_at"] is None


def test_the_example_names_each_kind_once_and_lets_nothing_go_before_its_owner_says_so() -> None:
    def group(of: dict[str, Any], plots: int, each: int) -> PlotGroup:
        return PlotGroup("h1", "", PlotClass(**of), None, plots, plots, plots * each)

    text = replot_text.example(
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
    assert "no plots that could be replaced" in replot_text.example([])
