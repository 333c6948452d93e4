"""What chia does not farm, by what its harvester sees."""

from __future__ import annotations

import pytest

from harvester_worker.farmed.chia_rpc import ChiaView
from harvester_worker.farmed.findings import check, compare, is_searched

PLOT = "/farm/1/a.plot"
REAL = {"/farm/1": "/mnt/wd/plots"}
OPENED, SEARCHED = "/mnt/wd/plots/a.plot", "/mnt/wd/plots"


def view(*plots: str, failed: tuple[str, ...] = (), folders: tuple[str, ...] = (SEARCHED,)) -> ChiaView:
    return ChiaView(frozenset(plots), frozenset(failed), folders, interval_s=120)


@pytest.mark.parametrize(
    ("drive", "folders", "recursive", "searched"),
    [
        ("/farm/1", ("/farm/1",), False, True),
        ("/farm/1", ("/farm/1/",), False, True),
        ("/farm/1", ("/farm",), False, False),
        ("/farm/1", ("/farm",), True, True),
        ("/farm/10", ("/farm/1",), True, False),
        ("/farm/1", (), True, False),
    ],
)
def test_which_drives_chia_searches(
    drive: str, folders: tuple[str, ...], recursive: bool, searched: bool
) -> None:
    assert is_searched(ChiaView(frozenset(), frozenset(), folders, recursive), drive) is searched


def test_a_plot_that_chia_has_opened_is_farmed_also_through_a_link() -> None:
    found = check(view(OPENED), {PLOT: 0.0}, REAL, 1.0)
    assert (found.findings, found.waiting) == ((), frozenset())


def test_a_drive_that_chia_does_not_search_is_one_finding_for_all_its_plots() -> None:
    found = check(view(OPENED, folders=("/other",)), {PLOT: 0.0, "/farm/1/b.plot": 0.0}, REAL, 1.0)
    assert [finding.sentence for finding in found.findings] == [
        "chia does not search /farm/1: its plots are not farmed. Run `chia plots add -d /farm/1`."
    ]


def test_a_plot_that_chia_cannot_open_is_named() -> None:
    (finding,) = check(view("/x", failed=(OPENED,)), {PLOT: 0.0}, REAL, 1.0).findings
    assert (finding.subject, finding.text) == (PLOT, f"chia cannot open {PLOT}")


@pytest.mark.parametrize(("age_s", "waits"), [(1, True), (540, True), (541, False)])
def test_chia_has_time_to_find_a_new_plot(age_s: float, waits: bool) -> None:
    found = check(view("/x"), {PLOT: 0.0}, REAL, age_s)
    assert (found.waiting == {PLOT}) is waits
    assert bool(found.findings) is not waits


def test_a_chia_that_has_opened_nothing_lacks_its_farmer() -> None:
    (finding,) = check(view(), {PLOT: 0.0}, REAL, 1e6).findings
    assert "has opened no plot" in finding.text
    assert finding.remedy == "Check that it reaches its farmer."


def test_a_drive_is_compared_file_by_file() -> None:
    seen = view(OPENED, failed=("/mnt/wd/plots/b.plot",))
    row, others = compare(seen, "/farm/1", ["a.plot", "b.plot", "c.plot"], REAL)
    assert (row.searched, row.files, row.farmed, row.failed, row.unseen) == (True, 3, 1, 1, 1)
    assert others == [("b.plot", "chia cannot open it"), ("c.plot", "chia has not opened it")]
    assert compare(view(), "/farm/2", ["a.plot"], {})[1] == [("a.plot", "chia does not search its folder")]
