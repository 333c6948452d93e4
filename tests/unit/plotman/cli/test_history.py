"""`analyze` and `export` on real and sampled logs of all plotters. GOLDEN=write writes the files anew."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from common.history.rows import End, PlotEnd
from plotman.cli.records import analyze, export
from plotman.control.queries import plot_logs
from plotman.control.queries.analysis import analyse
from tests.support.paths import LOGS

HERE = Path(__file__).parent

# The columns of plotman 0.5.3, in its order.
OLD_COLUMNS = [
    "Plot ID", "Started at", "Date", "Size", "Buffer", "Buckets", "Threads", "Tmp dir 1", "Tmp dir 2",
    *(f"{what}{unit}"
      for what in (*(f"Phase {phase} duration" for phase in (1, 2, 3, 4)), "Total time", "Copy time")
      for unit in (" (raw)", "", " (minutes)", " (hours)")),
    "Filename",
]  # fmt: skip


@pytest.fixture(autouse=True)
def in_a_folder_of_logs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Of logs that tell when their plots began; else a plot began when its file changed last."""
    folder = tmp_path / "logs"
    folder.mkdir()
    for log in LOGS.glob("*.log"):
        if not log.name.startswith("xchplot2"):
            (folder / log.name).symlink_to(log)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def golden(name: str, text: str) -> None:
    path = HERE / "golden" / name
    if os.environ.get("GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def run(*arguments: str) -> Result:
    verb = {"analyze": analyze, "export": export}[arguments[0]]
    result = CliRunner().invoke(verb, arguments[1:], catch_exceptions=False)
    assert result.exit_code == 0
    return result


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("analyze.txt", ["*.log"]),
        ("analyze-bytmp.txt", ["--bytmp", "madmax*.log", "bladebit*.log"]),
        ("analyze-bybitfield.txt", ["--bybitfield", "chia*.log"]),
        ("analyze-mix.txt", ["--mix", "*.log"]),
        ("analyze.json", ["--json", "chiapos*.log"]),
    ],
)
def test_analyze_shows(name: str, options: list[str]) -> None:
    golden(name, run("analyze", *options).stdout)


def test_export_writes_all_plotters_with_the_columns_of_0_5_3_first() -> None:
    text = run("export", "*.log").stdout
    golden("export.csv", text)
    assert next(csv.reader(io.StringIO(text)))[: len(OLD_COLUMNS)] == OLD_COLUMNS
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {row["Plotter"] for row in rows} == {"chia", "chiapos", "madmax", "bladebit"}
    assert [row["Started at"] for row in rows] == sorted(row["Started at"] for row in rows)


def test_export_writes_json_lines_with_the_fields_of_the_history(tmp_path: Path) -> None:
    run("export", "--format", "jsonl", "-o", str(tmp_path / "x.jsonl"), "madmax-k18-n2.log")
    lines = (tmp_path / "x.jsonl").read_text().splitlines()
    assert [json.loads(line)["plot_id"][0] for line in lines] == ["a", "b"]


def test_a_file_that_is_no_log_costs_a_line_and_no_more(tmp_path: Path) -> None:
    secret = tmp_path / "secret.log"
    secret.write_bytes(b"\xff\xfe nothing of a plotter")
    result = run("analyze", "chiapos-k18.log", str(secret), str(tmp_path), "none*.log")
    assert "chiapos" in result.stdout
    told = [line.split(": ")[0] for line in result.stderr.splitlines()]
    assert sorted(told) == sorted(
        [
            str(secret),
            str(tmp_path),
            "none*.log",
        ]
    )


def test_clipterminals_leaves_out_the_first_and_last_plot_of_each_log(tmp_path: Path) -> None:
    one = (LOGS / "chiapos-k18.log").read_bytes()
    log = tmp_path / "five.log"
    log.write_bytes(b"".join(one.replace(b"c3d36a23", b"c3d36a2%d" % number) for number in range(5)))
    whole = json.loads(run("analyze", "--json", str(log)).stdout)
    clipped = json.loads(run("analyze", "--json", "--clipterminals", str(log)).stdout)
    assert (whole["slices"][0]["plots"], clipped["slices"][0]["plots"]) == (5, 3)


def made(number: int, total_s: float, **known: object) -> PlotEnd:
    ended_at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number)
    fixed = {"key": str(number), "host": "p", "task_id": "t", "plotter": "chia", "k": 32, "end": End.DONE}
    return PlotEnd.model_validate(fixed | {"ended_at": ended_at, "total_s": total_s} | known)


def test_the_trend_is_that_of_the_last_plots_against_those_before() -> None:
    times = [100.0] * 10 + [110.0] * 5
    (slower,) = analyse([made(number, total) for number, total in enumerate(times)], last=5).slices
    assert slower.trend == pytest.approx(0.1)
    (few,) = analyse([made(number, 100) for number in range(3)]).slices
    assert few.trend is None


def test_plotters_and_ks_are_not_averaged_together_unless_asked() -> None:
    plots = [made(1, 10), made(2, 20, k=33), made(3, 30, plotter="madmax"), made(4, 40, compression=5)]
    assert len(analyse(plots).slices) == 4
    assert len(analyse(plots, ["host"]).slices) == 4
    assert [each.count for each in analyse(plots, mix=True).slices] == [4]
    assert [each.words for each in analyse(plots, ["k"], mix=True).slices] == [("32",), ("33",)]


HUGE = "9" * 400
ABSURD = [
    ("chiapos-k18", r"(Total time = )[\d.]+", HUGE),
    ("chiapos-k18-n2-other-filesystem", r"(Copy time = )[\d.]+", "9" * 12),
    ("chiapos-k18", r"(Time for phase 1 = )[\d.]+", HUGE),
    ("chiapos-k18", r"(Starting phase 1.*\.\.\. ).*", "Mon Jan  1 00:00:00 0001"),
    ("chiapos-k18", r"(Starting phase 1.*\.\.\. ).*", "Fri Dec 31 23:59:59 9999"),
    ("madmax-k18-n2", r"(Total plot creation time was )[\d.]+", "1e308"),
    ("madmax-k18-n2", r"(Total plot creation time was )[\d.]+", "1e12"),
    ("madmax-k18-n2", r"(Phase 1 took )[\d.]+", "1e999"),
    ("madmax-k18-n2", r"(finished, took )[\d.]+", "1e999"),
    ("bladebit-cudaplot", r"(Completed Plot 1 in )[\d.]+", HUGE),
    ("bladebit-cudaplot", r"(Completed Phase 1 in )[\d.]+", HUGE),
]


@pytest.mark.parametrize(("name", "pattern", "number"), ABSURD, ids=range(len(ABSURD)))
def test_absurd_numbers_of_a_log_are_unknown_and_leave_its_plots_and_other_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, pattern: str, number: str
) -> None:
    monkeypatch.setenv(
        "TZ", "EST5" if "9999" in number else "JST-9"
    )  # where the end of time is passed in UTC
    time.tzset()
    log = tmp_path / "absurd.log"
    text, count = re.subn(pattern, rf"\g<1>{number}", (LOGS / f"{name}.log").read_text())
    assert count
    log.write_text(text)
    honest = list(csv.DictReader(io.StringIO(run("export", f"{name}.log").stdout)))
    found = run("export", str(log), "madmax-k18.log")
    rows = list(csv.DictReader(io.StringIO(found.stdout)))
    assert (found.stderr, len(rows)) == ("", len(honest) + 1)
    for cell in (cell for row in rows for name, cell in row.items() if "time" in name or "duration" in name):
        assert not cell or 0 <= float(cell) < 1e9
    assert run("export", "--format", "jsonl", str(log)).stdout.count("\n") == len(honest)
    done = json.loads(run("analyze", "--json", str(log)).stdout)
    assert sum(each["plots"] for each in done["slices"]) == len(honest)
    assert run("analyze", str(log)).stdout


def test_a_log_file_of_an_absurd_time_costs_a_line_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python has two errors for it; file systems of today store no such time."""
    log = tmp_path / "late.log"
    log.write_bytes((LOGS / "chiapos-k18.log").read_bytes())
    read = plot_logs._read

    def reading(path: Path) -> tuple[list[PlotEnd], int]:
        if path == log:
            datetime.fromtimestamp(1e30, UTC)
        return read(path)

    monkeypatch.setattr(plot_logs, "_read", reading)
    result = run("analyze", "chiapos-k18.log", str(log))
    assert "chiapos" in result.stdout
    assert result.stderr.startswith(f"{log}: ")
