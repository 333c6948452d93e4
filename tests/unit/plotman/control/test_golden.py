"""Tables and JSON as they are printed, against golden files (UPDATE_GOLDEN=1 writes them anew)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from common.model.phase import Phase
from common.model.snapshot import FinishedPlot, PlotState, Wait
from plotman.cli.console import draw
from plotman.cli.plots import details_lines, doomed_lines, file_lines, killed_lines
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
    shown = capsys.readouterr().out
    assert "Folders below /mnt:" in shown
    assert all(len(line) <= 64 for line in shown.splitlines()), shown
    assert "plot id" in shown
    assert "mem" not in shown


def test_every_golden_file_is_used() -> None:
    folder = Path(__file__).parent / "golden"
    named = Path(__file__).read_text(encoding="utf-8")
    for path in folder.iterdir():
        assert path.stem in named, f"{path.name} is of no test"
