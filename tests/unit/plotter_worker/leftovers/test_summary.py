"""What a host's snapshot says of leftovers."""

from __future__ import annotations

from common.model.snapshot import Leftovers
from plotter_worker.directories.monitor import DirectorySurvey, FileSeen
from plotter_worker.leftovers.summary import summarise

NOW = 100_000.0
NAME = f"plot-k32-2026-11-22-11-28-{'a' * 64}.plot"


def seen(name: str, changed_s: float = 1_000) -> DirectorySurvey:
    return DirectorySurvey(
        files=(FileSeen(name, 10, 4096, int(changed_s * 1e9)), FileSeen("mine", 1, 512, 1))
    )


def test_old_scratch_is_counted_with_its_directories() -> None:
    looks = {"/a": seen(f"{NAME}.table1.tmp"), "/b": seen(f"{NAME}.2.tmp"), "/dst": seen(NAME)}
    assert summarise(looks, (), NOW) == Leftovers(bytes=8192, files=2, dirs=2)


def test_young_scratch_and_finished_plots_are_not_counted() -> None:
    assert summarise({"/a": seen(f"{NAME}.table1.tmp", NOW - 60), "/dst": seen(NAME)}, (), NOW) is None
