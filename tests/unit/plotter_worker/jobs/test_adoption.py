"""The record of a plotter that was found running."""

from __future__ import annotations

from pathlib import Path

import pytest

from plotter_worker.jobs.adoption import record_of
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.jobs.records import Records
from plotter_worker.plotters.options import masked
from plotter_worker.plotters.registry import plotter_for, recognise
from plotter_worker.processes.table import FoundPlotter
from tests.unit.plotter_worker.builders import T

SECRET = "5ec2e7" * 10


@pytest.mark.parametrize(
    "words",
    [("-S", SECRET), (f"-S{SECRET}",), ("--seed", SECRET), (f"--seed={SECRET}",), (f"--see={SECRET}",)],
)
def test_a_seed_from_which_keys_follow_is_neither_stored_nor_shown(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    argv = ("/opt/xchplot2", "plot", "-n", "3", *words, "-o", "/d", "-s", "2")
    recognised = recognise(argv, "/")
    assert recognised is not None
    found = FoundPlotter(7, "boot:7:1", 1e9, argv, *recognised, None, None, None)
    record = record_of(found, T, ours=False)
    Records(tmp_path).save(record)
    (stored,) = tmp_path.glob("*.json")
    assert SECRET not in stored.read_text()
    assert record.argv[4].partition("=")[0] == words[0].partition("=")[0].replace(SECRET, "***")
    assert "***" in " ".join(record.argv)
    assert record.argv[-4:] == ("-o", "/d", "-s", "2")
    job = TrackedJob.of_record(record, found.plotter)
    assert job.command is not None and (job.command.n, job.command.dst) == (3, "/d")


@pytest.mark.parametrize("words", [("-S", "", SECRET), ("-S", "-S", SECRET), ("--seed", "-S", "", SECRET)])
def test_a_seed_behind_a_mistyped_option_is_not_shown(words: tuple[str, ...]) -> None:
    shown = masked((*words, "-o", "/d"), ("-S", "--seed"))
    assert SECRET not in shown
    assert shown[-2:] == ("-o", "/d")


@pytest.mark.parametrize(
    ("plotter", "argv"),
    [
        ("chia", ("chia", "plots", "create", "-k", "32", "-m", SECRET, "-t", "/t", "-d", "/d")),
        ("chiapos", ("chia", "plotters", "chiapos", "-k", "18", "--memo", SECRET, "-t", "/t", "-d", "/d")),
        ("bladebit", ("bladebit", "-m", "--memo", SECRET, "ramplot", "/d")),
    ],
)
def test_so_is_a_memo_which_has_a_private_key(plotter: str, argv: tuple[str, ...]) -> None:
    recognised = recognise(argv, "/")
    assert recognised is not None and recognised[0] is plotter_for(plotter)
    record = record_of(FoundPlotter(7, "boot:7:1", 1e9, argv, *recognised, None, None, None), T, ours=False)
    assert record.argv == tuple("***" if word == SECRET else word for word in argv)
