from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from common.model.phase import Phase
from common.model.snapshot import Drive, Job, Transfer, Wait
from plotman.quickstart import display
from plotman.quickstart.look import Look
from plotman.quickstart.report import Row, table
from plotman.quickstart.words import status_line

AT = datetime(2026, 11, 22, tzinfo=UTC)
JOB = Job(
    task_id="t", plotter="chiapos", pid=1, started_at=AT, ours=True, plot_id="6b4e7375" * 8,
    phase=Phase(2, 3), percent=43.4, tmp="/farm/tmp/1",
)  # fmt: skip
MOVE = Transfer(
    path="/farm/dst/1/x.plot", plot_id="1f2e3d4c" * 8, size_bytes=1000, harvester="box",
    drive="/farm/drives/3", started_at=AT, sent_bytes=600, rate_bytes_s=120e6,
)  # fmt: skip
WAIT = Wait(host="box", rule="stagger", reason="stagger 2s/3s")


@pytest.mark.parametrize(
    ("look", "line"),
    [
        (Look(), "1 of 6 plots on drives"),
        (Look(jobs=(JOB,)), "1 of 6 plots on drives | plotting 6b4e7375 phase 2:3 43%"),
        (Look(transfers=(MOVE,)), "1 of 6 plots on drives | moving 1f2e3d4c to drive 3 60% 120.0 MB/s"),
        (Look(waits=(WAIT, WAIT)), "1 of 6 plots on drives | waiting: stagger 2s/3s"),
        (
            Look(jobs=(JOB.model_copy(update={"plot_id": None, "phase": None, "percent": None}),)),
            "1 of 6 plots on drives | plotting new plot",
        ),
    ],
)
def test_the_farm_in_one_line(look: Look, line: str) -> None:
    assert status_line(look, 1, 6) == line


def test_without_a_terminal_lines_come_when_something_changed_and_not_too_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = 100.0
    monkeypatch.setattr(display.time, "monotonic", lambda: now_s)
    out = io.StringIO()
    lines = display.display_for(Console(file=out))
    with lines:
        for now_s, landed in [(100, 0), (100.5, 1), (102.5, 1), (110, 1), (112, 2)]:  # noqa: B007
            lines.show(Look(), landed, 2)
    said = [line.split()[0] for line in out.getvalue().splitlines()]
    assert said == ["0", "1", "2"]


def test_on_a_terminal_jobs_transfers_drives_and_reasons_are_shown() -> None:
    out = io.StringIO()
    drive = Drive(path="/farm/drives/3", plots=7, incoming=1)
    look = Look(jobs=(JOB,), transfers=(MOVE,), drives=(drive,), waits=(WAIT,))
    Console(file=out, width=100).print(display.picture(look, 1, 6))
    for words in ("plotting in tmp 1", "43%", "phase 2:3", "to drive 3", "60%", "drive 3: 7 plots +1 coming"):
        assert words in out.getvalue()
    assert "stagger 2s/3s" in out.getvalue()


def test_the_last_table_fits_80_columns() -> None:
    out = io.StringIO()
    row = Row("6b4e7375" * 8, {1: 143.62, 2: 0.5, 3: 61.0}, 205.0, Path("/farm/drives/3/x.plot"), "30 proofs")
    Console(file=out, width=80).print(table([row]))
    assert "6b4e7375   143.6s 0.50s 61.0s ?   205.0s   drives/3   30 proofs" in out.getvalue()
