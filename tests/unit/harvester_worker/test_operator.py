"""Drives that are drained by an operator, or leave plotman.yaml, while the harvester runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from common.model import holds
from common.model.holds import HoldOrder
from common.model.snapshot import DriveUse
from common.system.probe import Probe
from harvester_worker.drives import part_files
from harvester_worker.drives.registry import DriveRegistry
from harvester_worker.operator import DriveHolds

PLOT_ID = "ab" * 32


class Site:
    """Two drives, A and B, of a harvester without Celery."""

    def __init__(self, root: Path) -> None:
        self.a, self.b = str(root / "A"), str(root / "B")
        for drive in (self.a, self.b):
            Path(drive).mkdir()
        self.file = root / "state" / "steering.json"
        self.told: list[str] = []
        self.holds = DriveHolds(self.file, self.told.append)
        self.configured = {self.a: DriveUse.ACTIVE, self.b: DriveUse.ACTIVE}
        self.probe = Probe()
        self.drives = DriveRegistry(
            lambda: list(self.configured),
            True,
            self.probe,
            lambda path: self.configured.get(path, DriveUse.ACTIVE),
            0,
            self.holds.of_drive,
        )
        self.drives.refresh()

    def words(self) -> dict[str, str]:
        self.drives.refresh()
        return {Path(drive.path).name: drive.word for drive in self.drives.published()}

    def hold(self, key: str, **said: datetime) -> str:
        return self.holds.hold(HoldOrder(host="h1", reason="to be sold", **said), key, "takes no more plots")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.probe.close()


def test_a_drain_of_a_drive_survives_restarts_until_it_is_lifted(site: Site) -> None:
    assert site.hold(site.a) == "takes no more plots: to be sold"
    assert site.words() == {"A": "draining", "B": "active"}
    again = DriveHolds(site.file, site.told.append)
    assert again.of_drive(site.a) is not None
    assert again.of_drive(site.b) is None
    site.holds.lift([site.a], f"takes plots on {site.a}")
    assert site.words() == {"A": "active", "B": "active"}
    assert len(site.told) == 2


def test_a_drained_host_takes_nothing_on_any_drive(site: Site) -> None:
    site.hold(holds.ALL)
    assert site.words() == {"A": "draining", "B": "draining"}
    assert "all drives of the host are drained" in site.holds.lift([site.a], "takes plots")


def test_a_hold_does_not_change_the_configured_use(site: Site) -> None:
    site.configured[site.a] = DriveUse.DISABLED
    site.hold(site.a)
    assert site.drives.use_of(site.a) is DriveUse.DISABLED


def test_a_drain_ends_at_its_time_and_that_is_published(site: Site) -> None:
    site.hold(site.a, until=datetime.now(UTC) - timedelta(seconds=1))
    assert site.words()["A"] == "active"
    site.holds.expire()
    assert site.told[-1] == f"{site.a} takes plots again: the hold has expired"
    assert site.a not in DriveHolds(site.file, site.told.append)


def test_a_removed_drive_stays_until_plots_on_their_way_to_it_are_taken_in(site: Site) -> None:
    part_files.prepare(site.a)
    part = part_files.part_path(site.a, PLOT_ID)
    part.touch()
    site.drives.refresh()
    del site.configured[site.a]
    site.drives.forget(lambda path: path in site.configured)
    assert site.words() == {"A": "draining", "B": "active"}
    part.unlink()
    site.drives.refresh()
    assert site.words() == {"B": "active"}


def test_a_configured_drive_that_disappears_shows_as_missing(site: Site) -> None:
    Path(site.a).rmdir()
    site.drives.forget(lambda path: path in site.configured)
    assert site.words() == {"A": "missing", "B": "active"}
