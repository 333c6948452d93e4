"""What the plan is made of: answers of harvesters, drives of snapshots, pace of the farm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from beat.policy.replot.planner import NO_DRIVE
from common.errors import OrderRefused, PlotmanError
from common.model.plot_class import PlotClass
from common.model.snapshot import Drive
from plotman.control.queries import inventory
from plotman.control.queries.replot import plan
from plotman.control.queries.replot.chart import chart_lines
from plotman.control.queries.replot.plan import NoSuchClass, PlanLimits
from plotman.control.queries.replot.sentences import sentences
from plotman.control.rpc import TaskCall
from tests.support.replotted import C7_BYTES, CLASSES, K32, TIB, asked, file, paced, row
from tests.support.stored import OG, drive, farm, harvester, let_answer


def test_harvesters_are_asked_once_for_sums_and_once_for_each_class(calls: list[TaskCall]) -> None:
    answer = asked()
    assert [(one.old.name, one.plots, one.drives) for one in answer.plan.classes] == [
        ("og", 1000, 2),
        ("c7", 2, 1),
    ]
    assert [call.kwargs["what"] for call in calls] == ["sums", "classed", "classed"]
    assert [(one.victim.drive.path, one.victim.name, one.at_once) for one in answer.first] == [
        ("/1", "a", True),
        ("/1", "b", False),
        ("/2", "a", False),
        ("/2", "b", False),
    ]


def test_limits_narrow_what_is_listed_and_never_what_is_summed(calls: list[TaskCall]) -> None:
    answer = asked(PlanLimits(first=1, drives=1))
    assert [(one.victim.drive.path, one.victim.name) for one in answer.first] == [("/1", "a")]
    assert (answer.plan.plots, answer.others) == (1002, 1)
    assert asked(PlanLimits(first=0)).first == ()
    only = asked(PlanLimits(classes=("c7",)))
    assert [one.old.name for one in only.plan.classes] == ["c7"]
    with pytest.raises(NoSuchClass, match=r"no class c8.*It has og, c7"):
        asked(PlanLimits(classes=("c8",)))


def test_a_file_that_the_sums_do_not_have_is_not_listed(calls: list[TaskCall]) -> None:
    found = asked(PlanLimits(first=9)).first
    assert {(one.victim.drive.path, one.victim.name) for one in found if one.victim.number == 1} == {
        ("/2", "c")
    }


def test_a_month_is_passed_on(calls: list[TaskCall]) -> None:
    asked(classes={"og": CLASSES["og"] | {"made_before": "2022-01"}})
    assert [call.kwargs.get("made_before") for call in calls] == [None, "2022-01"]


def test_a_listed_file_whose_size_does_not_fit_is_left_out(
    calls: list[TaskCall], monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_each: Callable[..., list[Any]] = inventory.ask_each

    def smaller(questions: list[TaskCall], **more: Any) -> list[Any]:
        found = ask_each(questions, **more)
        for answer in found:
            for one in answer.get("files", ()):
                one["size_bytes"] = 300_000 if one["name"] == "a" else one["size_bytes"]
        return found

    monkeypatch.setattr(inventory, "ask_each", smaller)
    assert [(one.victim.drive.path, one.victim.name) for one in asked().first] == [
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
    ask_each: Callable[..., list[Any]] = inventory.ask_each

    def others(questions: list[TaskCall], **more: Any) -> list[Any]:
        found = ask_each(questions, **more)
        for answer in found:
            for one in answer.get("files", ()):
                one["plot_class"] = headers
        return found

    monkeypatch.setattr(inventory, "ask_each", others)
    assert asked().first == ()


def test_a_harvester_that_refuses_is_missing_and_the_plan_goes_on(
    calls: list[TaskCall], monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_each: Callable[..., list[Any]] = inventory.ask_each

    def older(questions: list[TaskCall], **more: Any) -> list[Any]:
        found: list[Any] = ask_each(questions, **more)
        refused: PlotmanError = OrderRefused("It knows no classed.")
        pairs = zip(questions, found, strict=True)
        return [refused if call.kwargs["what"] == "classed" else one for call, one in pairs]

    monkeypatch.setattr(inventory, "ask_each", older)
    answer = asked()
    assert (answer.plan.plots, answer.first) == (1002, ())
    assert answer.missing == {"h1": "It knows no classed."}


def test_what_lacks_to_low_water_is_subtracted_once_from_two_folders_of_one_disk(
    calls: list[TaskCall],
) -> None:
    def lost_bytes(*drives: Drive) -> int:
        """What new plots do not take of the room of the old ones."""
        found = asked(at=paced(harvester(*drives)), low_water_bytes=10**11).plan
        return found.bytes - sum(one.new_bytes for one in found.drives)

    lacks = 10**11 - 10**9
    assert 0 <= lost_bytes(drive("/1", device="d"), drive("/2", device="d")) - lacks < 2 * 10**9
    assert 0 <= lost_bytes(drive("/1", device="d"), drive("/2", device="e")) - 2 * lacks < 3 * 10**9
    assert 0 <= lost_bytes(drive("/1"), drive("/2")) - 2 * lacks < 3 * 10**9


def test_the_pace_is_that_of_the_archived_plots_and_dates_follow_from_it(calls: list[TaskCall]) -> None:
    answer = asked(fork_height=9_700_000, at=paced(tib_per_day=4))
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
    unknown = asked(at=paced(), fork_height=9_700_000)
    assert (unknown.rate_bytes, unknown.spans, unknown.mean) == (None, None, None)
    text = " ".join(sentences(unknown))
    assert "The end is not known" in text
    assert [line.split()[0] for line in chart_lines(unknown)][1:] == ["unchanged"]


def test_plots_of_a_silent_harvester_stay(calls: list[TaskCall]) -> None:
    silent = asked(at=farm(harvester(), silent=("h1",)))
    assert (silent.plan.plots, {kept.why for kept in silent.plan.kept}) == (0, {NO_DRIVE})


def answers(drives: dict[str, list[dict[str, Any]]]) -> Callable[[TaskCall], Any]:
    """A harvester with one plot for each of these headers on each drive, and one file of each drive."""

    def answer(call: TaskCall) -> Any:
        if call.kwargs["what"] == "sums":
            sums = [row(path, of, 1, K32) for path, headers in drives.items() for of in headers]
            return {"drives": [], "duplicates": 0, "sums": sums, "next": None}
        asked_for = [PlotClass(**of) for of in call.kwargs["classes"]]
        files = [
            file(path, "a", of, K32)
            for path, headers in drives.items()
            for of in [one for one in headers if PlotClass(**one) in asked_for][:1]
        ]
        return {"files": files, "next": None}

    return answer


def headers(count: int) -> list[dict[str, Any]]:
    return [OG | {"pool_key": f"{number:096x}"} for number in range(count)]


def test_headers_without_end_on_one_drive_push_no_other_drive_from_the_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many = answers({"/1": headers(400), "/2": [OG]})
    calls = let_answer(monkeypatch, {"h1": many, "h2": answers({"/1": [OG]})})
    found = asked(at=paced(harvester(), harvester(host="h2")), classes={"og": CLASSES["og"]}).first
    assert [(one.victim.drive.host, one.victim.drive.path) for one in found] == [
        ("h1", "/1"),
        ("h1", "/2"),
        ("h2", "/1"),
    ]
    assert [len(call.kwargs["classes"]) for call in calls if call.kwargs["what"] == "classed"] == [256, 1]


def test_a_host_with_many_drives_pushes_no_other_host_from_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [f"/{number}" for number in range(20)]
    let_answer(monkeypatch, {"h1": answers({path: [OG] for path in paths}), "h2": answers({"/1": [OG]})})
    at = paced(harvester(*map(drive, paths)), harvester(host="h2"))
    answer = asked(PlanLimits(drives=2), at)
    assert [one.victim.drive for one in answer.first] == [("h1", "/0"), ("h2", "/1")]
    assert answer.others == 19


def test_a_host_that_answers_with_files_without_end_is_read_for_as_many_as_were_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plan, "_MOST_FILES", 7)
    honest = answers({"/1": [OG]})

    def without_end(call: TaskCall) -> Any:
        if call.kwargs["what"] == "sums":
            return honest(call)
        after = int(call.kwargs.get("after", "0"))
        return {"files": [file("/1", f"{after}", OG, K32)] * 2, "next": str(after + 1)}

    calls = let_answer(monkeypatch, {"h1": without_end})
    assert len(asked(classes={"og": CLASSES["og"]}).first) == 2
    assert len(calls) == 5
