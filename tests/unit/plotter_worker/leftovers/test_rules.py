"""Leftovers by table. It is 100 000 s; files were changed at 50 000 s."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plotter_worker.leftovers.rules import Evidence, File, LivePlotter, scratch_of, sort
from plotter_worker.plotters.base import OwnFiles
from plotter_worker.plotters.registry import PLOTTERS

NOW, CHANGED = 100_000.0, 50_000.0
ID, OTHER = "a" * 64, "b" * 64
NAME = f"plot-k32-2026-11-22-11-28-{ID}"
TABLE = f"{NAME}.plot.table1.tmp"


# Unfinished plots of xchplot2.
PARTIAL = (
    f"plot-k28-{ID}.plot2.partial",
    f"plot-k28-{ID}.plot2.partial.aB3dEf",
    f"plot-k28-{ID}.gplot.partial",
    f"plot-k28-{ID}.gplot.partial.aB3dEf",
)
# Its job files, which hold private keys.
WITH_KEYS = (
    f"plot-k28-{ID}.gplot.job.json",
    f"xchplot2-job-{ID}.tsv",
    f"plot-k28-{ID}.gplot.tsv",
)


def file(name: str = TABLE, directory: str = "1:1", changed_s: float = CHANGED, **fields) -> File:
    given = {"inode": 7, "size_bytes": 10, "allocated_bytes": 4096, "uid": 1000, "owner": "chia"}
    return File(f"/tmp/{directory}", directory, name, mtime_ns=int(changed_s * 1e9), **{**given, **fields})


def live(plotter: str = "chia", started_s: float = 10_000, **fields) -> LivePlotter:
    return LivePlotter(42, plotter, "other", started_s, **fields)


def why(files: list[File], *plotters: LivePlotter, quiet_s: float = 300, **evidence) -> list[str | None]:
    """For each file the reason why it is kept; None: it is a leftover."""
    leftovers, kept = sort(files, Evidence(plotters, **evidence), NOW, quiet_s)
    reasons = {entry.file: entry.reason for entry in kept}
    assert len(leftovers) + len(kept) == len(files)
    return [reasons.get(one) for one in files]


@pytest.mark.parametrize(
    ("name", "plot_id", "program"),
    [
        (TABLE, ID, None),
        (f"{NAME}.plot.p1.t2.sort_bucket_000.tmp", ID, None),
        (f"{NAME}.plot.2.tmp", ID, None),
        (f"{NAME}.p3s1.t2.sort_bucket_0.tmp", ID, None),  # madMAx
        (f"{NAME}.plot.tmp", ID, None),
        (f"plot-k32-c07-2026-11-22-11-28-{ID}.plot.tmp", ID, None),  # bladebit
        (f"plot-mmx-k34-c1-2026-11-22-11-28-{ID}.plot.tmp", ID, None),  # Gigahorse
        *((name, ID, None) for name in PARTIAL),
        ("t1_0.tmp", None, "bladebit"),
        ("map7_255.tmp", None, "bladebit"),
        ("cuda_plot_tmp2_12.tmp", None, "madmax"),
    ],
)
def test_scratch_is_known_by_its_name(name: str, plot_id: str | None, program: str | None) -> None:
    found = scratch_of(name)
    assert found is not None
    assert (found.plot_id, found.program) == (plot_id, program)


@pytest.mark.parametrize(
    "name",
    [
        f"{NAME}.plot", f"plot-k28-{ID}.plot2", f"plot-k28-{ID}.gplot", *WITH_KEYS,
        f"xchplot2-job-{ID}.tsv.partial", f"plot-k28-{ID}.gplot.partial.tsv", f"plot-k28-{ID}.tsv.partial",
        f"notes-on-{ID}.tmp", f"{NAME}.plot.tmp.bak", "something.tmp",
        "lost+found", f"plot-{ID[:63]}.plot.tmp", f".{TABLE}.Xy12ab", "t1_0.tmp~", f"x{TABLE}", "",
    ],
)  # fmt: skip
def test_a_file_with_another_name_is_no_leftover(name: str) -> None:
    assert scratch_of(name) is None
    assert sort([file(name)], Evidence(), NOW) == ([], [])


@pytest.mark.parametrize("name", [*PARTIAL, *WITH_KEYS])
def test_no_job_deletes_what_xchplot2_left(name: str) -> None:
    for plotter in PLOTTERS:
        assert plotter.own_files([name], ID) == OwnFiles((), ())


def test_scratch_that_no_plotter_may_need_is_a_leftover() -> None:
    assert why([file()]) == [None]
    assert why([file("t1_0.tmp")]) == [None]


def test_a_plot_s_files_are_kept_in_every_directory_while_its_plotter_runs() -> None:
    files = [file(directory="1:1"), file(directory="9:9"), file(TABLE.replace(ID, OTHER))]
    mine = live(plot_ids=frozenset({ID}), only_these=True, directory_ids=frozenset({"1:1"}))
    reasons = why(files, mine)
    assert reasons == ["it belongs to the plot of chia pid 42 of other"] * 2 + [None]


@pytest.mark.parametrize(
    ("directories", "started_s", "stays"),
    [
        (frozenset({"1:1"}), 10_000, True),  # changed after the plotter's start
        (None, 10_000, True),  # the plotter's directories are unknown
        (frozenset({"2:2"}), 10_000, False),
        (frozenset({"1:1"}), 60_000, False),  # older than the plotter
        (frozenset({"1:1"}), 50_300, True),  # the clock may have been set
    ],
)
@pytest.mark.parametrize("known", [frozenset(), frozenset({OTHER})])
def test_a_plotter_with_unknown_plots_may_own_files_changed_since_its_start(
    directories: frozenset[str] | None, started_s: float, stays: bool, known: frozenset[str]
) -> None:
    unknown = live(started_s=started_s, directory_ids=directories, plot_ids=known)
    assert (why([file()], unknown) != [None]) is stays


@pytest.mark.parametrize(
    ("running", "directories", "stays"),
    [
        ("bladebit", frozenset({"1:1"}), True),
        ("bladebit", None, True),
        ("bladebit", frozenset({"2:2"}), False),
        ("chia", frozenset({"1:1"}), False),  # chia names its files
    ],
)
def test_files_without_plot_id_are_kept_while_a_plotter_with_such_names_works_there(
    running: str, directories: frozenset[str] | None, stays: bool
) -> None:
    # At any age: bladebit keeps its files for the next plot.
    plotter = live(
        running, started_s=90_000, directory_ids=directories, plot_ids=frozenset({OTHER}), only_these=True
    )
    assert (why([file("t1_0.tmp", changed_s=1)], plotter) != [None]) is stays


def test_one_open_or_young_file_keeps_all_of_its_plot() -> None:
    other = file(TABLE.replace(ID, OTHER))
    assert why([file(), file(f"{NAME}.plot.2.tmp", directory="2:2", open=True), other]) == [
        "a process has a file of this plot open",
        "a process has a file of this plot open",
        None,
    ]
    assert why([file(), other], open_names=frozenset({TABLE})) == [
        "a process has a file of this plot open",
        None,
    ]
    young = file(f"{NAME}.plot.2.tmp", directory="2:2", changed_s=NOW - 12)
    text = "its plot was changed 12s ago, less than 5m 0s"
    assert why([file(), young, other]) == [text, text, None]
    assert (
        why([file("t1_0.tmp"), file("t2_0.tmp", changed_s=NOW), file("t1_0.tmp", directory="2:2")])[2] is None
    )


def test_the_least_age_can_be_raised() -> None:
    assert why([file()], quiet_s=NOW - CHANGED) == [None]
    assert why([file()], quiet_s=NOW - CHANGED + 1) != [None]


def test_a_file_whose_processes_are_not_visible_is_kept() -> None:
    assert "nfs4" in str(why([file(network="nfs4")])[0])
    assert "chia" in str(why([file(uid=1000)], visible_uid=2000)[0])
    assert why([file(uid=2000)], visible_uid=2000) == [None]
    whole = replace(file(f"{NAME}.plot.2.tmp"), whole=True)
    assert f"rename it to {NAME}.plot," in str(why([whole])[0])
    whole = replace(file(PARTIAL[3]), whole=True)
    assert f"rename it to plot-k28-{ID}.gplot," in str(why([whole])[0])
