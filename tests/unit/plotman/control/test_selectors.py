"""Which plots of the farm a user means."""

from __future__ import annotations

from datetime import timedelta

import pytest

from common.errors import ExitCode, ManyPlots, NoSuchPlot, PlotmanError
from common.model.snapshot import Job
from common.names import Role
from plotman.control.farm import FarmState, narrowed
from plotman.control.selectors import HostIsLost, resolve
from tests.support.told import JOB, SILENT, T, plotter


def job(start: str, task_id: str, pid: int, tmp: str = "/mnt/tmp/00") -> Job:
    plot_id = start + "0" * (64 - len(start))
    return JOB.model_copy(update={"plot_id": plot_id, "task_id": task_id, "pid": pid, "tmp": tmp})


ONE = job("6b4e7375", "7d3c0000-aaaa", 11)
TWIN = job("6b4e9999", "7d3c1111-bbbb", 12, "/mnt/tmp/01")
FAR = job("c0ffee00", "6b4e0000-cccc", 13)
UNNAMED = SILENT.model_copy(update={"task_id": "0a0b0c0d-dddd", "pid": 14})


def farm(stale: frozenset[tuple[Role, str]] = frozenset()) -> FarmState:
    here = plotter(host="p1", jobs=(ONE, TWIN))
    there = plotter(host="p2", jobs=(FAR, UNNAMED), at=T - timedelta(minutes=3))
    return FarmState(
        at=T, plotters={"p1": here, "p2": there}, archivers={}, harvesters={}, waits=None, stale=stale
    )


NEAR_NONE = "`plotman status` shows all running plots, `plotman history` those that have ended."


@pytest.mark.parametrize(
    ("handles", "host", "tmp", "pids"),
    [
        (["6b4e7"], None, None, [11]),
        (["6B4E7375"], None, None, [11]),
        (["6b4e7", "c0"], None, None, [11, 13]),
        (["6b4e7", "6b4e73", "p1:11"], None, None, [11]),  # once
        (["6b4e"], None, "/mnt/tmp/01/", [12]),
        (["p2:14"], None, None, [14]),  # has no id yet
        (["0a0b0c0d"], None, None, [14]),  # its task's
        (["all"], None, None, [11, 12, 13, 14]),
        (["all"], "p2", None, [13, 14]),
        (["ALL"], "p1", "/mnt/tmp/00", [11]),
    ],
)
def test_a_selector_names_a_plot_anywhere_in_the_farm(
    handles: list[str], host: str | None, tmp: str | None, pids: list[int]
) -> None:
    assert sorted(target.job.pid for target in resolve(farm(), handles, host, tmp)) == pids


def test_a_short_selector_is_never_taken_for_a_task_id() -> None:
    with pytest.raises(ManyPlots):
        resolve(farm(), ["6b4e"])  # two plots; the third has a task that begins so
    with pytest.raises(NoSuchPlot):
        resolve(farm(), ["7d3c"])


def test_what_names_several_plots_lists_them_with_host_tmp_and_phase() -> None:
    with pytest.raises(ManyPlots) as refused:
        resolve(farm(), ["c0ffee", "6b4e"])
    said = str(refused.value).splitlines()
    assert "6b4e names 2 plots, and nothing was done" in said[0]
    assert said[1].split() == ["6b4e737500000000", "p1", "/mnt/tmp/00", "2:3"]
    assert said[2].split() == ["6b4e999900000000", "p1", "/mnt/tmp/01", "2:3"]
    assert refused.value.exit_code is ExitCode.NOTHING == 5


@pytest.mark.parametrize(
    ("handle", "host", "cure"),
    [
        ("6b4f", None, "Nearest: 6b4e7375 on p1, 6b4e9999 on p1."),
        ("ffff", None, NEAR_NONE),
        ("", None, "No plot is named: give the start of its id."),
        ("6b4e7", "p2", NEAR_NONE),
        ("all", "p3", "Plotters: p1, p2."),
    ],
)
def test_what_names_none_says_where_to_look(handle: str, host: str | None, cure: str) -> None:
    with pytest.raises(NoSuchPlot) as refused:
        resolve(farm(), [handle], host)
    assert cure in str(refused.value)
    assert refused.value.exit_code is ExitCode.NOTHING


def test_a_plot_on_a_silent_host_is_not_reachable_and_all_leaves_it_out() -> None:
    silent = farm(frozenset({(Role.PLOTTER, "p2")}))
    with pytest.raises(HostIsLost) as refused:
        resolve(silent, ["c0ffee"])
    assert str(refused.value) == (
        "plot c0ffee00 on p2 in /mnt/tmp/00: that host has been silent for 3m 0s. Start `plotman up` on p2."
    )
    assert refused.value.exit_code is ExitCode.UNREACHABLE == 4
    assert {target.host for target in resolve(silent, ["all"])} == {"p1"}


def test_a_farm_is_narrowed_to_one_host_and_an_unknown_one_is_refused() -> None:
    assert list(narrowed(farm(), "p2").plotters) == ["p2"]
    assert narrowed(farm(), None) == farm()
    with pytest.raises(PlotmanError, match="p1, p2") as refused:
        narrowed(farm(), "p3")
    assert refused.value.exit_code is ExitCode.NOTHING
