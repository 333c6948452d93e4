"""A kill at each step of a deletion: nothing is lost, all is counted, and a restart settles it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from common.errors import OrderRefused
from common.system.plotfile import Verdict, read_header, whole
from harvester_worker.drives import part_files
from harvester_worker.replot import ledger, removal
from harvester_worker.replot.journal import JournalFile, VictimStep
from harvester_worker.replot.removal import NotNow, Removal
from tests.support.paths import ROOT
from tests.support.replot_killed import ORDER, credited, victim_of
from tests.support.replotting import Replotting, aside

MakeSite = Callable[..., Replotting]


def run(folder: Path, old_plot: Path, last: int) -> tuple[Path, int | None]:
    """Delete a copy of the plot, with a kill at this point. Returns its path, and the number of points."""
    shutil.rmtree(folder, ignore_errors=True)
    drive = folder / "drive"
    drive.mkdir(parents=True)
    plot = Path(shutil.copy(old_plot, drive))
    argv = [sys.executable, "-m", "tests.support.replot_killed", folder / "state", drive, plot, str(last)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in (0, -9), done.stderr
    return plot, int(done.stdout) if done.returncode == 0 else None


def recovered(folder: Path) -> JournalFile:
    """A worker begins after the kill."""
    journal = JournalFile(folder / "state")
    journal.open()
    assert journal.trouble is None
    victim = journal.now.victim
    if victim is not None:
        settle = partial(ledger.settled, today=journal.now.day or ledger.date(2026, 12, 1))
        removal.recover(
            victim,
            must_be_mounted=False,
            deleted=lambda: _change(journal, settle),
            stays=lambda: _change(journal, ledger.kept),
        )
    journal.close()
    return journal


def _change(journal: JournalFile, changed: Callable[..., object]) -> None:
    journal.change(changed)  # type: ignore[arg-type]


def test_a_kill_at_each_step_loses_nothing_and_is_settled_by_the_next_start(
    old_plots: list[Path], tmp_path: Path
) -> None:
    plot, points = run(tmp_path / "whole", old_plots[0], 0)
    assert not plot.exists()
    assert points is not None
    assert points > 20
    outcomes = []
    for last in range(1, points + 1):
        plot, ended = run(tmp_path / "killed", old_plots[0], last)
        assert ended is None
        journal = recovered(tmp_path / "killed").now
        assert journal.victim is None
        assert aside(plot.parent) == []
        if plot.exists():
            assert plot.read_bytes() == old_plots[0].read_bytes()
            assert (journal.deleted_plots, journal.deleted_bytes) == (0, 0), last
            assert journal.credits[0].left_bytes == journal.new_bytes
        else:
            assert (journal.deleted_plots, journal.deleted_bytes) == (1, journal.new_bytes), last
            assert journal.credits == (), "it lets no second plot go"
        outcomes.append(plot.exists())
    assert outcomes == sorted(outcomes, reverse=True), "there is one moment from which it is gone"
    assert True in outcomes
    assert False in outcomes


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happens to plots that are set aside, and which files and folders are written to the disk."""
    found: list[str] = []
    rename, unlink, fsync = removal.rename_new, Path.unlink, os.fsync

    def renamed(source: Path, target: Path) -> None:
        rename(source, target)
        found.append("renamed")

    def unlinked(path: Path, missing_ok: bool = False) -> None:
        unlink(path, missing_ok)
        found.append("unlinked" if path.suffix == removal.ASIDE else "")

    def synced(fd: int) -> None:
        fsync(fd)
        found.append(os.readlink(f"/proc/self/fd/{fd}"))  # noqa: PTH115 - no path of a file

    monkeypatch.setattr(removal, "rename_new", renamed)
    monkeypatch.setattr(Path, "unlink", unlinked)
    monkeypatch.setattr(os, "fsync", synced)
    return found


def between(steps: list[str], first: str, last: str) -> set[str]:
    return {*steps[steps.index(first) : steps.index(last)]}


def test_each_step_on_the_drive_is_durable_before_the_journal_has_the_next_one(
    old_plots: list[Path], tmp_path: Path, steps: list[str]
) -> None:
    """After a power cut, the journal is never ahead of the drive."""
    plot = Path(shutil.copy(old_plots[0], tmp_path))
    folders = {str(tmp_path), str(part_files.folder(str(tmp_path)))}
    victim = victim_of(plot)
    Removal(
        victim,
        ORDER.classes[0].old,
        must_be_mounted=False,
        may_go=lambda: None,
        deleting=lambda: steps.append("deleting"),
        settled=lambda: steps.append("settled"),
    ).run()
    assert between(steps, "renamed", "deleting") >= folders
    assert between(steps, "unlinked", "settled") >= folders

    shutil.copy(old_plots[0], part_files.folder(str(tmp_path)) / f"{plot.name}{removal.ASIDE}")
    steps.clear()
    removal.recover(victim, False, lambda: pytest.fail("deleted"), lambda: steps.append("stays"))
    assert between(steps, "renamed", "stays") >= folders


@pytest.mark.parametrize("step", VictimStep)
@pytest.mark.parametrize("place", ["name", "aside", "gone", "another file"])
def test_what_became_of_a_plot_in_work_is_found_at_the_start(
    make_site: MakeSite, old_plots: list[Path], step: VictimStep, place: str
) -> None:
    site = make_site("20m", "20m")
    (old,) = site.put(site.drives[0], old_plots[0])
    credited(site.replotter._journal, old.stat().st_size)
    victim = victim_of(old)
    site.replotter._journal.change(partial(ledger.chosen, victim=victim))
    if step is VictimStep.DELETING:
        site.replotter._journal.change(partial(ledger.deleting, order=ORDER, victim=victim))
    part_files.prepare(str(site.drives[0]))
    if place == "aside":
        old.rename(part_files.folder(str(site.drives[0])) / f"{old.name}{removal.ASIDE}")
    elif place in ("gone", "another file"):
        with old.open("rb"):  # so that no other file gets its inode
            old.unlink()
            if place == "another file":
                old.write_bytes(b"")
    site.end()
    site.begin()
    site.look()
    deleted = place in ("gone", "another file") and step is VictimStep.DELETING
    assert old.exists() == (place != "gone")
    assert site.journal.victim is None
    assert site.journal.deleted_plots == deleted
    assert ("plot-replaced" in site.kinds()) == deleted
    assert aside(site.drives[0]) == []


def test_while_the_drive_of_a_plot_in_work_is_away_no_other_plot_goes(
    make_site: MakeSite, old_plots: list[Path], large_plots: list[Path]
) -> None:
    site = with_a_plot_in_work_on_a_dead_drive(make_site, old_plots, large_plots)
    with pytest.raises(NotNow, match="/not/there is missing"):
        site.look()
    assert site.replacer.once() is False
    assert "another old plot is being deleted" in site.report.why
    assert len([path for drive in site.drives for path in drive.glob("*.plot")]) == 2


@pytest.mark.parametrize("step", VictimStep)
def test_a_plot_in_work_on_a_drive_that_is_given_up_counts_as_deleted_if_it_may_be(
    make_site: MakeSite, old_plots: list[Path], large_plots: list[Path], step: VictimStep
) -> None:
    site = with_a_plot_in_work_on_a_dead_drive(make_site, old_plots, large_plots)
    victim, order = site.journal.victim, site.journal.order
    assert victim is not None
    assert order is not None
    if step is VictimStep.DELETING:
        site.replotter._journal.change(partial(ledger.deleting, order=order, victim=victim))
    site.reconfigure(drives=[str(drive) for drive in site.drives])
    site.replacer.recover()
    gone = step is VictimStep.DELETING
    assert site.journal.victim is None
    assert site.journal.deleted_bytes == (victim.size_bytes if gone else 0)
    left_bytes = sum(credit.left_bytes for credit in site.journal.credits)
    assert left_bytes == site.journal.new_bytes - site.journal.deleted_bytes
    told = [event.text for event in site.events if event.kind == "plot-replaced"]
    assert ["counts /not/there/" in text for text in told] == [True] * gone
    assert site.once(), "the order continues"


def test_a_plot_in_work_on_a_drive_that_is_given_up_gets_its_name_back_if_the_drive_answers(
    make_site: MakeSite, old_plots: list[Path]
) -> None:
    site = make_site("20m", "20m")
    (old,) = site.put(site.drives[0], old_plots[0])
    credited(site.replotter._journal, old.stat().st_size)
    victim = victim_of(old)
    site.replotter._journal.change(partial(ledger.chosen, victim=victim))
    site.replotter._journal.change(partial(ledger.deleting, order=ORDER, victim=victim))
    part_files.prepare(str(site.drives[0]))
    old.rename(part_files.folder(str(site.drives[0])) / f"{old.name}{removal.ASIDE}")
    site.reconfigure(drives=[str(site.drives[1])])
    site.replacer.recover()
    assert old.exists()
    assert (site.journal.victim, site.journal.deleted_plots) == (None, 0)


def test_a_drive_that_answers_late_settles_no_other_plot_than_its_own(
    make_site: MakeSite, old_plots: list[Path], large_plots: list[Path]
) -> None:
    site = with_a_plot_in_work_on_a_dead_drive(make_site, old_plots, large_plots)
    late = site.journal.victim
    assert late is not None
    site.replacer._keep(late)
    other = late.model_copy(update={"drive": str(site.drives[0])})
    now = site.replotter._journal.change(partial(ledger.chosen, victim=other))
    site.replacer._keep(late)
    site.replacer._settle(late)
    assert site.journal == now


def with_a_plot_in_work_on_a_dead_drive(
    make_site: MakeSite, old_plots: list[Path], large_plots: list[Path]
) -> Replotting:
    """And plots on two drives that may go."""
    site = make_site("20m", "20m", proofs=1)
    (old,) = site.put(site.drives[0], old_plots[0])
    site.put(site.drives[1], old_plots[1])
    site.order(low_water_bytes=30 << 20)
    site.arrive(*large_plots[:4])
    site.known()
    site.reconfigure(drives=[*map(str, site.drives), "/not/there"])
    victim = victim_of(old).model_copy(
        update={"uses": ledger.uses(site.journal.credits, old.stat().st_size), "drive": "/not/there"}
    )
    site.replotter._journal.change(partial(ledger.chosen, victim=victim))
    return site


def test_a_plot_that_is_set_aside_while_its_name_is_taken_waits_for_an_operator(
    old_plots: list[Path], tmp_path: Path
) -> None:
    plot = Path(shutil.copy(old_plots[0], tmp_path))
    victim = victim_of(plot)
    part_files.prepare(str(tmp_path))
    put_aside = part_files.folder(str(tmp_path)) / f"{plot.name}{removal.ASIDE}"
    shutil.copy(plot, put_aside)
    called: list[str] = []
    with pytest.raises(OrderRefused, match="Look at both files"):
        removal.recover(victim, False, lambda: called.append("deleted"), lambda: called.append("stays"))
    assert (called, put_aside.exists(), plot.exists()) == ([], True, True)


def test_without_a_journal_plots_that_were_set_aside_get_their_names_back(
    make_site: MakeSite, old_plots: list[Path]
) -> None:
    site = make_site("20m")
    twice, old = site.put(site.drives[0], *old_plots[:2])
    part_files.prepare(str(site.drives[0]))
    incoming = part_files.folder(str(site.drives[0]))
    old.rename(incoming / f"{old.name}{removal.ASIDE}")
    others = [incoming / f"{name}{removal.ASIDE}" for name in ("notes", old_plots[2].name, old_plots[3].name)]
    others[0].touch()
    others[1].mkdir()
    others[2].symlink_to(old_plots[3])
    others.append(Path(shutil.copy(twice, incoming / f"{twice.name}{removal.ASIDE}")))
    site.end()
    (site.folder / "state" / "replot.json").unlink(missing_ok=True)
    site.begin()
    assert whole(old, read_header(old)).verdict is Verdict.COMPLETE
    assert aside(site.drives[0]) == sorted(path.name for path in others), (
        "they are no plots, or their names are taken"
    )
