"""Old and new plots, made once, and a harvester with small drives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from common.store import Board
from harvester_worker.inventory import inventory
from harvester_worker.replot import surroundings
from tests.conftest import made_once
from tests.support import formats
from tests.support.bench import small_drive
from tests.support.replotting import Replotting

OLD_PLOTS, NEW_PLOTS, LARGE_PLOTS = 4, 16, 4


@pytest.fixture(scope="session")
def old_plots(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Plots of chiapos, k18, 4 MB; do not change them."""

    def make(folder: Path) -> None:
        for _ in range(OLD_PLOTS):
            formats.make_v1(folder)

    return sorted(made_once(tmp_path_factory, "replot-old", make).glob("*.plot"))


@pytest.fixture(scope="session")
def new_plots(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Plots of chia_rs, k18, 660 kB: seven bring more bytes than an old one has. Do not change them."""

    def make(folder: Path) -> None:
        for _ in range(NEW_PLOTS):
            formats.make_group(folder)

    return sorted(made_once(tmp_path_factory, "replot-new", make).glob("*.gplot"))


@pytest.fixture(scope="session")
def large_plots(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Plots of chia_rs, k20, 2.9 MB: two bring more bytes than an old one has. Do not change them."""

    def make(folder: Path) -> None:
        for _ in range(LARGE_PLOTS):
            formats.make_group(folder, 20)

    return sorted(made_once(tmp_path_factory, "replot-large", make).glob("*.gplot"))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "_TICK_S", 0.05)
    monkeypatch.setattr(surroundings, "FREED_LATE_S", 0.0)


@pytest.fixture
def make_site(tmp_path: Path, board: Board) -> Iterator[Callable[..., Replotting]]:
    """Makes a harvester with a drive for each size (of a file system: "9m"), named /d1, /d2 ..."""
    with ExitStack() as stack:

        def make(*sizes: str, **harvester: Any) -> Replotting:
            drives = [tmp_path / f"d{number}" for number in range(1, len(sizes) + 1)]
            for drive, size in zip(drives, sizes, strict=True):
                stack.enter_context(small_drive(drive, size))
            made = Replotting(tmp_path, board, *drives, **harvester)
            stack.callback(made.end)
            return made

        yield make
