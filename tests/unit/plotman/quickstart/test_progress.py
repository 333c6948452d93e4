from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from common.errors import PlotmanError
from common.history.recorder import history_path
from common.history.rows import End, LandingEnd, PlotEnd
from common.history.store import HistoryFile
from common.names import Role
from plotman.cli.console import as_text
from plotman.quickstart.progress import read_progress, result_table

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def plot(key: str, end: End = End.DONE, started_s: float = 1, **fields: object) -> PlotEnd:
    started = START + timedelta(seconds=started_s)
    given = {"started_at": started, "ended_at": started + timedelta(seconds=60), "plot_id": key}
    return PlotEnd(key=key, host="box", end=end, task_id=key, plotter="chiapos", **{**given, **fields})


def landing(plot_id: str, end: End = End.LANDED) -> LandingEnd:
    return LandingEnd(
        key=plot_id, host="box", end=end, ended_at=START + timedelta(seconds=90), plot_id=plot_id,
        drive="/farm/drives/2", verified="30 challenges, 29 proofs, all valid",
    )  # fmt: skip


def write(state_dir: Path, role: Role, *rows: PlotEnd | LandingEnd) -> None:
    file = HistoryFile(history_path(state_dir, role))
    file.put(rows)
    file.close()


def test_a_new_farm_has_no_progress(tmp_path: Path) -> None:
    progress = read_progress(tmp_path, START)
    assert (progress.plots, progress.landed) == ((), [])


def test_plots_of_earlier_runs_do_not_count(tmp_path: Path) -> None:
    write(tmp_path, Role.PLOTTER, plot("old", started_s=-10), plot("new"))
    write(tmp_path, Role.HARVESTER, landing("old"), landing("new"))
    progress = read_progress(tmp_path, START)
    assert [made.key for made in progress.made] == ["new"]
    assert [made.key for made, _ in progress.landed] == ["new"]


def test_a_plot_that_was_refused_has_not_landed(tmp_path: Path) -> None:
    write(tmp_path, Role.PLOTTER, plot("a"), plot("b"))
    write(tmp_path, Role.HARVESTER, landing("a", End.REFUSED), landing("b"))
    assert [made.key for made, _ in read_progress(tmp_path, START).landed] == ["b"]


def test_failed_plots_are_replaced_once_all_that_were_ordered_have_ended(tmp_path: Path) -> None:
    write(tmp_path, Role.PLOTTER, plot("a"), plot("b", End.FAILED))
    progress = read_progress(tmp_path, START)
    assert [failed.key for failed in progress.failed] == ["b"]
    assert progress.missing(wanted=3, ordered=3) == 0  # the third runs
    write(tmp_path, Role.PLOTTER, plot("c", End.KILLED))
    progress = read_progress(tmp_path, START)
    assert progress.missing(wanted=3, ordered=3) == 2
    assert progress.missing(wanted=3, ordered=5) == 0  # two new ones run
    write(tmp_path, Role.PLOTTER, plot("d"), plot("e"))
    assert read_progress(tmp_path, START).missing(wanted=3, ordered=5) == 0


def test_a_history_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = history_path(tmp_path, Role.PLOTTER)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(PlotmanError, match=str(path)):
        read_progress(tmp_path, START)


def test_the_table_of_results_says_how_long_where_and_how_verified() -> None:
    made = plot("6b4e7375" * 8, phase1_s=143.62, phase2_s=0.5, phase3_s=61, total_s=205)
    table = result_table([(made, landing("6b4e7375" * 8))])
    *_, row = as_text(table, None).splitlines()
    assert " ".join(row.split()) == (
        "6b4e7375 143.6s 0.50s 61.0s ? 205.0s drives/2 30 challenges, 29 proofs, all valid"
    )
