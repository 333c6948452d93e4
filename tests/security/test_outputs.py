"""Whatever the machines of a farm write, no front end lets it act on a terminal or forge a line."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from datetime import UTC, datetime

import pytest

from common.history.rows import End, PlotEnd
from common.model.pending import MoveStep, PendingMove
from common.model.phase import Phase
from common.model.snapshot import (
    ArchiverSnapshot,
    Directory,
    DirState,
    Drive,
    Event,
    FinishedPlot,
    PlotState,
    TmpDir,
    Transfer,
    Wait,
    Waits,
)
from common.names import Role
from common.store import Board
from plotman.control.queries.export import write_csv, write_jsonl
from tests.support.full_farm import ago, harvester, job, plotter
from tests.support.paper import GB
from tests.support.secured import Machines

# A title, a cleared screen, a forged line, a C1 sequence, a reversed text, DEL and NUL; a formula for CSV.
EVIL = "=x\x1b]0;title\x07\x1b[2J\x1b[31m\r\nplotman: FORGED\n\t\x9b31m\u2028\u202e\u2066\x7f\x00"
BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]")
VERBS = (
    ("status",),
    ("status", "--classic"),
    ("status", "--json"),
    ("dirs",),
    ("dirs", "--json"),
    ("dsched",),
    ("dsched", "--json"),
    ("why",),
    ("why", "--json"),
    ("files", "all"),
    ("logs", EVIL.replace("\0", "")),
    ("drain", "p1" + EVIL.replace("\0", "")),
    ("history",),
    ("history", "--summary"),
    ("prometheus",),
    ("forget", EVIL.replace("\0", "")),
    ("notify", "list"),
)


def acts(text: str, layout: str = "\n\t") -> list[str]:
    return [
        char
        for char in text
        if char not in layout and (unicodedata.category(char) in ("Cc", "Cs") or BIDI.match(char))
    ]


def spoil(boards: dict[str, Board]) -> None:
    """A farm whose texts are all hostile, each written by a user that may."""
    room = {"state": DirState.OK, "free_bytes": 900 * GB, "total_bytes": 2000 * GB}
    evil_dir = f"/mnt/{EVIL}"
    plots = (
        FinishedPlot(
            path=f"{evil_dir}/a.plot", size_bytes=1, state=PlotState.REFUSED, since=ago(9), plot_id=EVIL,
            reason=EVIL,
        ),
    )  # fmt: skip
    boards["p1"].put_snapshot(
        Role.PLOTTER,
        plotter(
            "p1",
            plotting=False,
            pause_reason=EVIL,
            jobs=(
                job(tmp=evil_dir, dst=evil_dir, stalled=EVIL, log=evil_dir),
                job(plot_id=EVIL, plotter=EVIL),
            ),
            plots=plots,
            problems=(EVIL,),
            tmp_dirs=(TmpDir(path=evil_dir, max_jobs=1, stagger_phase=Phase(2, 1), stagger_limit=1, **room),),
            dst_dirs=(Directory(path=evil_dir, **room),),
        ),
    )
    transfer = Transfer(
        path=f"{evil_dir}/a.plot", plot_id=EVIL, size_bytes=1, harvester=EVIL, drive=evil_dir,
        started_at=ago(9), sent_bytes=1,
    )  # fmt: skip
    boards["p1"].put_snapshot(
        Role.ARCHIVER, ArchiverSnapshot(host="p1", at=ago(0), transfers=(transfer,), problems=(EVIL,))
    )
    drive = Drive(path=evil_dir, reason=EVIL, **room)
    boards["h1"].put_snapshot(Role.HARVESTER, harvester(drive, host="h1"))
    boards["boss"].put_move(
        "p1",
        PendingMove(
            path=f"{evil_dir}/a.plot", harvester=EVIL, size_bytes=1, step=MoveStep.TRANSFER, attempts=1,
            expires_at=ago(-60), last_error=EVIL,
        ),
    )  # fmt: skip
    wait = Wait(host="p1", subject=evil_dir, rule=EVIL, reason=EVIL)
    boards["boss"].put_waits(Waits(beat=EVIL, at=ago(0), waits=(wait,)))
    for kind in ("plot-failed", EVIL):
        boards["p1"].tell(Event(kind=kind, host="p1", at=ago(0), text=EVIL, plot_id=EVIL))


@pytest.fixture
def hostile(attacked: Machines) -> Machines:
    attacked.configure("boss")
    spoil({name: Board.connect(attacked.secured.url(name)) for name in ("p1", "h1", "boss")})
    return attacked


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_no_verb_prints_what_acts_on_a_terminal(hostile: Machines, verb: tuple[str, ...]) -> None:
    done = hostile.run("boss", "plotman", *verb)
    said = done.stdout + done.stderr
    assert acts(said) == []
    assert "Traceback" not in said
    assert not [line for line in said.splitlines() if line.startswith("plotman: FORGED")], said
    if "--json" in verb and done.stdout:
        json.loads(done.stdout)


def test_an_export_has_no_formula_and_a_line_for_each_plot() -> None:
    row = PlotEnd(
        key="k", host=EVIL, task_id=EVIL, ended_at=datetime.now(UTC), end=End.DONE, plot_id=EVIL, path=EVIL,
        plotter="chia", tmp=EVIL, dst="@SUM(A1)", reason="-1+1", total_s=5.0, k=32,
    )  # fmt: skip
    as_csv, as_lines = io.StringIO(), io.StringIO()
    write_csv([row], as_csv)
    write_jsonl([row], as_lines)
    head, cells = csv.reader(io.StringIO(as_csv.getvalue()))
    found = dict(zip(head, cells, strict=True))
    assert acts(as_csv.getvalue()) == acts(as_lines.getvalue()) == []
    assert (found["Size"], found["Total time"], found["Dst dir"]) == ("32", "5", "'@SUM(A1)")
    assert [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r")] == []
