"""A drive that is there and cannot be read: it holds up no other, and what may be on it is not made twice."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from common.errors import NoRoom, TransferFailed
from common.model.plot_name import PlotName
from harvester_worker.drives import digests, existing_plots, part_files
from harvester_worker.drives.digests import DigestEntry
from harvester_worker.drives.scrub import AGAIN_S, Scrub
from harvester_worker.intake import reserve
from tests.integration.harvester_worker.drives.test_registry import MB, order

ID = f"{1:064x}"


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    made = [tmp_path / name for name in ("bad", "good")]
    for folder in made:
        folder.mkdir()
    return made


def fails(*_: Any) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.fixture
def hangs() -> Iterator[Callable[..., None]]:
    released = threading.Event()

    def hang(*_: Any) -> None:
        released.wait(60)

    yield hang
    released.set()


@pytest.fixture
def hanging(hangs: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    monkeypatch.setattr(reserve, "CHANGE_S", 0.2)
    return hangs


def when_read(folder: Path, befalls: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """What befalls a program that looks for a plot in this folder."""
    look = existing_plots.existing_plot

    def existing_plot(name: PlotName, size_bytes: int, drive: str) -> Path | None:
        if drive == str(folder):
            befalls()
        return look(name, size_bytes, drive)

    monkeypatch.setattr(existing_plots, "existing_plot", existing_plot)


@pytest.mark.parametrize(("kind", "why"), [("fails", "Input/output error"), ("hangs", "does not answer")])
def test_a_plot_on_an_unreadable_drive_is_not_sent_to_another(
    farm: Callable[..., Any],
    folders: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    hanging: Callable[..., None],
    kind: str,
    why: str,
) -> None:
    harvester = farm(*folders)
    harvester.reserver._plot_index.put(ID, str(folders[0]))
    when_read(folders[0], fails if kind == "fails" else hanging, monkeypatch)

    with pytest.raises(TransferFailed, match=f"is on {folders[0]}, which .*{why}"):
        harvester.reserver.reserve(order(1, MB))

    assert part_files.parts(str(folders[1])) == []


def test_an_unreadable_drive_does_not_block_reservations(
    farm: Callable[..., Any], folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    harvester = farm(*folders)
    when_read(folders[0], fails, monkeypatch)

    assert harvester.reserver.reserve(order(1, MB)).drive == str(folders[1])
    # It may have a copy of the plot: this harvester's word does not send the plot to another.
    with pytest.raises(TransferFailed, match="bad: cannot be read: Input/output error") as refusal:
        harvester.reserver.reserve(order(2, 10**15))
    assert not isinstance(refusal.value, NoRoom)


def test_the_scrub_goes_on_where_one_drive_cannot_be_read(
    farm: Callable[..., Any], folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    harvester = farm(*folders)
    harvester.drives.refresh()
    plot = folders[1] / "a.plot"
    plot.write_bytes(b"plot")
    part_files.prepare(str(folders[1]))
    digests.write(str(folders[1]), plot.name, DigestEntry(digest="0" * 32, size_bytes=4))
    entries = digests.entries
    monkeypatch.setattr(
        digests, "entries", lambda drive: fails() if drive == str(folders[0]) else entries(drive)
    )
    told: list[str] = []
    scrub = Scrub(harvester.drives, 1e9, lambda path, _: told.append(path))

    assert scrub.once(time.time() + AGAIN_S + 1)

    assert told == [str(plot)]
    scrub.stop()
