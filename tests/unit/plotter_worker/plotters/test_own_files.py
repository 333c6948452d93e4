"""Which files of a directory are a job's own."""

from __future__ import annotations

import pytest

from plotter_worker.plotters.registry import PLOTTERS, plotter_for

ID, OTHER = "a" * 64, "b" * 64
NAME, FOREIGN = f"plot-k32-2026-11-22-11-28-{ID}", f"plot-k32-2026-11-22-11-28-{OTHER}"

OWN = [
    f"{NAME}.plot.table1.tmp",
    f"{NAME}.plot.sort.tmp",
    f"{NAME}.plot.p1.t2.sort_bucket_000.tmp",
    f"{NAME}.plot.2.tmp",
    f"{NAME}.p1.table1.tmp",
    f"{NAME}.p3s1.t2.sort_bucket_0.tmp",
    f"{NAME}.plot.tmp",
    f"plot-k32-c07-2026-11-22-11-28-{ID}.plot.tmp",
    f"plot-mmx-k34-c1-2026-11-22-11-28-{ID}.plot.tmp",
]
NOT_OWN = [
    f"{NAME}.plot",
    f"{FOREIGN}.plot.2.tmp",
    f"{FOREIGN}.plot",
    f"notes-on-{ID}.tmp",
    "something.tmp",
    "lost+found",
]
ANONYMOUS = {
    "bladebit": [
        "t1_0.tmp", "t7_0.tmp", "map2_0.tmp", "map7_255.tmp", "table_2_marks_0.tmp", "lp_2_0.tmp",
        "lp_map_0_12.tmp", "y0_0.tmp", "y1_0.tmp", "meta0_0.tmp", "meta1_0.tmp", "index0_0.tmp",
        "table_l_2.tmp", "table_r_2.tmp", "p1unsorted_r.tmp",
    ],
    "madmax": ["cuda_plot_tmp2_1234.tmp"],
}  # fmt: skip


@pytest.mark.parametrize("plotter", PLOTTERS, ids=lambda plotter: plotter.name)
def test_files_with_the_plot_id_are_certain_and_finished_plots_are_never_among_them(plotter) -> None:
    found = plotter.own_files([*NOT_OWN, *OWN], ID)
    assert list(found.certain) == OWN
    assert found.by_directory == ()


@pytest.mark.parametrize("plotter_name", ANONYMOUS)
def test_scratch_files_without_a_plot_id_are_a_group_of_their_own(plotter_name: str) -> None:
    found = plotter_for(plotter_name).own_files([*NOT_OWN, *ANONYMOUS[plotter_name]], ID)
    assert list(found.by_directory) == ANONYMOUS[plotter_name]
    assert found.certain == ()


@pytest.mark.parametrize("plot_id", [None, "", "a", "plot", "A" * 64, "a" * 63])
def test_without_a_whole_plot_id_nothing_is_certain(plot_id: str | None) -> None:
    for plotter in PLOTTERS:
        assert plotter.own_files(OWN, plot_id).certain == ()
