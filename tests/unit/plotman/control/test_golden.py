"""Tables and JSON as they are printed, against golden files (UPDATE_GOLDEN=1 writes them anew)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import pytest

from common.model.phase import Phase
from common.model.snapshot import ArchiverSnapshot, FinishedPlot, PlotState, RunStatus, Wait
from plotman.cli.console import draw
from plotman.cli.plots import details_lines, doomed_lines, file_lines, killed_lines
from plotman.cli.watch import status_text
from plotman.control.farm import FarmState
from plotman.control.queries import reports, tables
from plotman.control.queries.schedule import dsched_json, dsched_table
from plotman.control.selectors import PlotSelection
from tests.support.golden import golden, golden_json
from tests.support.told import JOB, SILENT, T, farm, plotter


def whole() -> FarmState:
    refused = FinishedPlot(
        path="/mnt/dst/00/plot-k32-x.plot",
        size_bytes=10**11,
        state=PlotState.REFUSED,
        since=T,
        reason="no proofs",
    )
    ready = FinishedPlot(
        path="/mnt/dst/00/plot-k32-y.plot", size_bytes=10**11, state=PlotState.READY, since=T
    )
    late = JOB.model_copy(
        update={
            "task_id": "t3",
            "plot_id": "c0" * 32,
            "phase": Phase(3, 5),
            "tmp": "/mnt/tmp/ä 01",
            "pid": 4713,
        }
    )
    wait = Wait(
        host="plotter1", rule="stagger", reason="stagger 1623s/1800s", until=T + timedelta(seconds=177)
    )
    return farm(plotter(jobs=(JOB, SILENT, late), plots=(ready, refused)), (wait,))


@pytest.mark.parametrize(
    "make",
    [
        tables.jobs_table, tables.moves_table, tables.plots_table, tables.waits_table,
        tables.tmp_table, tables.dst_table, tables.drives_table, dsched_table,
    ],
    ids=lambda make: make.__name__,
)  # fmt: skip
def test_a_table_reads_as_it_did(make: Any, capsys: pytest.CaptureFixture[str]) -> None:
    draw(make(whole()))
    golden(f"{make.__name__}.txt", capsys.readouterr().out)


def test_json_is_as_it_was() -> None:
    golden_json("status.json", reports.status_json(whole()))
    golden_json("dirs.json", reports.dirs_json(whole()))
    golden_json("dsched.json", dsched_json(whole()))


def busy() -> FarmState:
    """All slots are taken, the stagger runs, a plot waits for its drive's turn."""
    dirs = tuple(one.model_copy(update={"max_jobs": 2}) for one in plotter().tmp_dirs)
    jobs = tuple(
        JOB.model_copy(
            update={
                "task_id": f"t{number}", "plot_id": f"{number}b" * 32, "tmp": f"/mnt/tmp/0{number % 2}",
                "percent": 20.0 * number, "eta_s": 8000 - 1500 * number,
            }
        )
        for number in range(4)
    )  # fmt: skip
    plots = tuple(plot_file(number, PlotState.READY) for number in (5, 6))
    host = "plotter1"
    waits = (
        Wait(host=host, rule="max jobs", reason="max jobs 4/4", numbers={"jobs": 4, "limit": 4}),
        Wait(host=host, rule="stagger", reason="stagger 1784s/1800s", until=T + timedelta(seconds=16)),
        Wait(
            host=host, rule="tmp max jobs", reason="tmp max jobs 2/2", subject="/mnt/tmp/00",
            numbers={"jobs": 2, "limit": 2},
        ),
        *(Wait(host=host, rule="moves", reason="moves 1/1", subject=plot.path) for plot in plots),
    )  # fmt: skip
    return calm(farm(plotter(tmp_dirs=dirs, jobs=jobs, plots=plots, archiving=True), waits))


def idle() -> FarmState:
    seen = calm(farm(plotter(jobs=(), archiving=True)))
    return replace(seen, archivers={"plotter1": ArchiverSnapshot(host="plotter1", at=T)})


def trouble() -> FarmState:
    """A drive and a tmp directory are lost, plots fit on no drive, a copy was interrupted."""
    waiting = tuple(plot_file(number, PlotState.READY) for number in range(3))
    cut = plot_file(7, PlotState.TRUNCATED)
    full = "plot needs 100.0 GB; largest free drive of harvester1 has 12.0 GB"
    numbers = {"needs_bytes": 1e11, "free_bytes": 1.2e10}
    waits = (
        *(
            Wait(host="plotter1", rule="drives", reason=full, subject=plot.path, numbers=numbers)
            for plot in waiting
        ),
        Wait(host="plotter1", rule="tmp state", reason="tmp is not mounted", subject="/mnt/tmp/01"),
    )
    snapshot = plotter(jobs=(JOB, SILENT), plots=(*waiting, cut), archiving=True)
    return replace(farm(snapshot, waits), leader="b")


def plot_file(number: int, state: PlotState) -> FinishedPlot:
    path = f"/mnt/dst/00/plot-k32-2026-11-22-11-0{number}-{f'{number}c' * 32}.plot"
    reason = "9.9 GB are missing at its end" if state is PlotState.TRUNCATED else None
    return FinishedPlot(path=path, size_bytes=10**11, state=state, since=T, reason=reason)


def calm(seen: FarmState) -> FarmState:
    """With a scheduler, and with drives that are all mounted."""
    harvester = seen.harvesters["harvester1"]
    harvesters = {"harvester1": harvester.model_copy(update={"drives": harvester.drives[:1]})}
    return replace(seen, leader="b", harvesters=harvesters)


@pytest.mark.parametrize(
    ("name", "make"),
    [("status-busy.txt", busy), ("status-idle.txt", idle), ("status-trouble.txt", trouble)],
    ids=["busy", "idle", "trouble"],
)
def test_status_reads_as_it_did(
    name: str, make: Callable[[], FarmState], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    shown = status_text(make(), 80)
    assert all(len(line) <= 80 for line in click.unstyle(shown).splitlines())
    without_time = [line for line in click.unstyle(shown).splitlines() if not line.startswith("Updated at")]
    golden(name, "\n".join(without_time) + "\n")


def test_a_busy_farm_does_not_read_like_trouble() -> None:
    shown = status_text(busy(), 80)
    for word in ("Needs a hand", "stagger", "max jobs", "moves 1/1", "!"):
        assert word not in shown


def crowded() -> FarmState:
    """500 plots, of which the one that started last is stalled and the one before it is suspended; 40 files
    of others in dst directories."""
    jobs = [
        JOB.model_copy(
            update={
                "task_id": f"t{number}", "plot_id": f"{number:03}" + "b" * 61,
                "started_at": T - timedelta(minutes=600 - number),
            }
        )
        for number in range(500)
    ]  # fmt: skip
    jobs[499] = jobs[499].model_copy(update={"stalled": "no space"})
    jobs[498] = jobs[498].model_copy(update={"status": RunStatus.STOPPED})
    seen = farm(plotter(jobs=tuple(jobs)))
    spoilt = {f"h{number:02}": "a key cannot be read" for number in range(40)}
    return replace(seen, leader="b", spoilt=spoilt)


def ids(text: str) -> list[str]:
    return re.findall(r"^([0-9]{3}bbbbb) ", click.unstyle(text), re.MULTILINE)


def test_a_terminal_shows_some_rows_of_a_large_farm_first_what_needs_a_hand() -> None:
    shown = click.unstyle(status_text(crowded(), 100, is_all=False))
    assert ids(shown)[:3] == ["499bbbbb", "498bbbbb", "000bbbbb"]
    assert len(ids(shown)) == 30
    assert "... and 470 more: --all" in shown
    assert shown.count("a key cannot be read") == 30
    assert "... and 12 more: --all" in shown
    assert len(shown.splitlines()) < 150


@pytest.mark.parametrize(
    ("width", "fields"),
    [(100, {"is_all": True}), (None, {"is_all": False}), (100, {"is_all": False, "classic": True})],
    ids=["--all", "pipe", "--classic"],
)
def test_a_pipe_and_all_get_each_row(width: int | None, fields: dict[str, bool]) -> None:
    shown = status_text(crowded(), width, **fields)
    assert len(ids(shown)) == 500
    assert shown.count("a key cannot be read") == 40
    assert "more: --all" not in shown


def test_a_pipe_gets_whole_paths_and_no_bars() -> None:
    shown = status_text(busy(), None)
    assert "/mnt/tmp/00" in shown
    assert "━" not in shown


FILES: dict[str, Any] = {
    "ours": False,
    "files": [
        {
            "path": f"/mnt/tmp/00/plot-k32-{number}.tmp",
            "size_bytes": number,
            "allocated_bytes": number * 10**9,
        }
        for number in range(5)
    ],
    "finished": ["/mnt/tmp/00/plot-k32-whole.plot"],
    "troubles": ["/mnt/dst/00 does not answer"],
}


def test_what_kill_and_files_say_reads_as_it_did() -> None:
    target = PlotSelection("plotter1", JOB)
    killed = {
        "deleted": 5,
        "freed_bytes": 10**10,
        "finished": FILES["finished"],
        "left": ["/x.tmp: I/O error"],
    }
    text = [
        *doomed_lines(target, FILES, 3),
        "",
        *file_lines(FILES["files"]),
        "",
        *killed_lines(str(target), killed),
    ]
    golden("kill.txt", "\n".join(text) + "\n")


def test_details_read_as_they_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    said = JOB.model_dump(mode="json") | {
        "host": "plotter1", "argv": ["chia_plot", "-k", "32"], "user": "chia", "files": 104,
        "processes": [{"pid": 4711, "name": "chia_plot", "status": "running"}], "files_bytes": 42 * 10**6,
    }  # fmt: skip
    lines = [line for line in details_lines(said) if not line.startswith("started at")]  # in local time
    golden("details.txt", "\n".join(lines) + "\n")


def test_a_table_that_does_not_fit_gives_up_columns_then_the_shared_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "64")
    draw(tables.jobs_table(whole()))
    shown = click.unstyle(capsys.readouterr().out)
    assert "Folders below /mnt:" in shown
    assert all(len(line) <= 64 for line in shown.splitlines()), shown
    assert "plot id" in shown
    assert "mem" not in shown


def test_every_golden_file_is_used() -> None:
    folder = Path(__file__).parent / "golden"
    named = Path(__file__).read_text(encoding="utf-8")
    for path in folder.iterdir():
        assert path.stem in named, f"{path.name} is of no test"
