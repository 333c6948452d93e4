"""Which new plots let an old one go: proved ones that arrived since the order, and are still there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.errors import OrderRefused, PlotmanError, PlotRefused, TransferFailed
from common.model.replot_report import ReplotState
from common.model.snapshot import DirState
from common.system.plotfile import read_header
from common.system.probe import DirReport
from harvester_worker.intake import admit
from harvester_worker.intake.arrival import Landing
from harvester_worker.intake.verify import Proved
from harvester_worker.replot import ledger, surroundings
from tests.support.replotting import OLD, Replotting

MakeSite = Callable[..., Replotting]


@pytest.fixture
def site(make_site: MakeSite, old_plots: list[Path]) -> Replotting:
    """An old plot, on a drive without room beyond its low water."""
    made = make_site("20m", "20m", proofs=1)
    made.put(made.drives[0], old_plots[0])
    made.order(low_water_bytes=30 << 20)
    return made


def stays(site: Replotting) -> bool:
    """Whether the old plot stays at the next look."""
    assert not site.once()
    return bool([*site.drives[0].glob("*.plot")])


def test_plots_that_are_proved_count(site: Replotting, large_plots: list[Path]) -> None:
    site.arrive(*large_plots[:2])
    assert site.report.new_plots == 2
    assert site.once()


def test_what_lay_there_before_the_order_or_came_by_hand_does_not_count(
    site: Replotting, large_plots: list[Path]
) -> None:
    site.put(site.drives[1], *large_plots[:3])
    assert stays(site)
    assert "no new plot has arrived" in site.report.why


def test_what_arrived_before_the_order_does_not_count(
    make_site: MakeSite, old_plots: list[Path], large_plots: list[Path]
) -> None:
    site = make_site("20m", "20m", proofs=1)
    site.put(site.drives[0], old_plots[0])
    site.arrive(*large_plots[:2])
    site.order(low_water_bytes=30 << 20)
    assert stays(site)
    assert site.report.new_plots == 0


def test_a_plot_that_a_drive_had_already_does_not_count(site: Replotting, large_plots: list[Path]) -> None:
    site.put(site.drives[1], *large_plots[:2])
    site.arrive(*large_plots[:2])
    assert stays(site)
    assert site.report.new_plots == 0


def test_without_the_library_for_its_proofs_a_plot_does_not_count(
    site: Replotting, large_plots: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admit, "prove", lambda *_: Proved("header and whole size (chia_rs is not installed)"))
    site.arrive(*large_plots[:2])
    assert stays(site)
    assert site.report.new_plots == 0


def test_with_proofs_off_nothing_counts(site: Replotting, large_plots: list[Path]) -> None:
    site.reconfigure(proofs=0)
    site.arrive(*large_plots[:2])
    site.reconfigure(proofs=1)
    assert stays(site)


def test_plots_of_an_evacuated_drive_do_not_count(site: Replotting, large_plots: list[Path]) -> None:
    site.arrive(*large_plots[:2], evacuates=True)
    assert stays(site)
    assert site.report.new_plots == 0


@pytest.mark.parametrize("ordered", [True, False])
def test_a_plot_is_evacuated_if_the_order_or_the_delivery_says_so(
    site: Replotting, large_plots: list[Path], ordered: bool
) -> None:
    """The delivery passed through the queue of the machine that sends the plot."""
    for plot in large_plots[:2]:
        delivery = site.reserve(plot, evacuates=ordered)
        reservation = delivery.reservation.model_copy(update={"evacuates": not ordered})
        site.admit(delivery.model_copy(update={"reservation": reservation}))
    assert stays(site)
    assert site.report.new_plots == 0


def test_new_plots_of_a_class_of_the_order_do_not_count_and_are_never_eaten(
    site: Replotting, old_plots: list[Path], large_plots: list[Path]
) -> None:
    late = site.arrive(*old_plots[1:3])
    assert site.report.new_plots == 0
    site.arrive(*large_plots[:4])
    assert site.once()
    assert all(path.exists() for path in late)
    assert not site.once()
    assert all(path.exists() for path in late)
    assert not site.journal.done, "they are of the class, and stay"
    assert "2 plots of the classes may not be deleted" in site.report.why
    assert site.journal.last is not None
    assert site.journal.last.plot_id not in {path.stem[-64:] for path in late}


@pytest.mark.parametrize("harm", ["truncated", "damaged"])
def test_a_plot_that_is_refused_does_not_count_and_closes_its_drive(
    site: Replotting, large_plots: list[Path], harm: str, tmp_path: Path
) -> None:
    bad = Path(shutil.copy(large_plots[0], tmp_path / large_plots[0].name))
    if harm == "truncated":
        os.truncate(bad, bad.stat().st_size - 1)
    else:
        bad.write_bytes(bad.read_bytes()[:1024] + os.urandom(bad.stat().st_size - 1024))
    delivery = site.reserve(bad)
    assert delivery.reservation.drive == str(site.drives[0])
    with pytest.raises(PlotRefused):
        site.admit(delivery)
    site.reserve(large_plots[3])  # so that others go to the second drive
    arrived = site.arrive(*large_plots[1:3])
    assert {path.parent for path in arrived} == {site.drives[1]}
    assert stays(site)
    assert "refused the last plot that arrived there" in site.report.why
    site.replotter._journal.change(lambda now: ledger.landed(now, _credit(site), False))
    assert site.once(), "after a plot that was taken in there"


def _credit(site: Replotting) -> Any:
    (credit, *_) = site.journal.credits
    return credit.model_copy(update={"plot_id": "ff" * 32, "drive": str(site.drives[0])})


@pytest.mark.parametrize("loss", ["deleted", "exchanged", "cut", "linked away"])
def test_a_new_plot_that_is_not_there_any_more_lets_nothing_go(
    site: Replotting, large_plots: list[Path], loss: str
) -> None:
    new = site.arrive(*large_plots[:2])
    lost = new[1]
    if loss == "deleted":
        lost.unlink()
    elif loss == "exchanged":
        copy = Path(shutil.copy2(lost, site.folder))
        lost.unlink()
        (lost.parent / "keeps the inode").touch()
        shutil.copy2(copy, lost)
    elif loss == "cut":
        os.truncate(lost, 1000)
    else:
        moved = (
            lost.rename(site.folder / "d2" / "moved")
            if lost.parent.name == "d2"
            else lost.rename(site.drives[0] / "moved")
        )
        lost.symlink_to(moved)
    site.look()
    assert [*site.drives[0].glob("*.plot")]
    assert "not on their drives any more" in site.report.why


@pytest.mark.parametrize("reason", [None, "not full", "away at first", "away later", "moving", "unreadable"])
def test_new_plots_that_are_lost_for_certain_give_their_places_to_others(
    site: Replotting, large_plots: list[Path], monkeypatch: pytest.MonkeyPatch, reason: str | None
) -> None:
    """But not while they may come back."""
    monkeypatch.setattr(ledger, "CREDITS_MOST", 3 if reason == "not full" else 2)
    lost = site.arrive(*large_plots[:2])
    site.known()
    for path in lost:
        path.unlink()
    states = {
        "away at first": (DirState.NOT_MOUNTED, DirState.OK),
        "away later": (DirState.OK, DirState.NOT_MOUNTED),
    }
    if reason in states:
        of_drive = {str(drive): iter(states[reason]) for drive in site.drives}
        monkeypatch.setattr(surroundings, "look", lambda drive, _: DirReport(next(of_drive[drive])))
    elif reason == "moving":
        site.replacer._around.is_moving = lambda _: True
    elif reason == "unreadable":
        changed = tuple(one.model_copy(update={"name": "x" * 300}) for one in site.journal.credits)
        site.replotter._journal.change(lambda now: now.model_copy(update={"credits": changed}))
    assert not site.look()
    assert "not on their drives any more" in site.report.why
    if reason is not None:
        assert len(site.journal.credits) == 2
        return
    assert site.journal.credits == ()
    site.arrive(*large_plots[2:4])
    assert site.report.new_plots == 4
    assert site.once()
    assert site.journal.deleted_bytes <= sum(path.stat().st_size for path in large_plots[2:4])


def test_of_a_sparse_file_only_what_it_takes_counts(site: Replotting, large_plots: list[Path]) -> None:
    file, header = site.drives[1] / "part", read_header(large_plots[0])
    file.write_bytes(b"x" * 4096)
    os.truncate(file, 5 << 20)
    final = site.drives[1] / large_plots[0].name
    site.replotter.landing(Landing("aa" * 32, file, final, header, 1, evacuates=False))
    assert site.journal.new_bytes == file.stat().st_blocks * 512
    assert site.journal.new_bytes < 5 << 20


def test_once_as_many_plots_arrived_as_the_journal_keeps_nothing_goes(
    site: Replotting, large_plots: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those beyond are not known to be new."""
    monkeypatch.setattr(ledger, "ARRIVED_MOST", 2)
    site.arrive(*large_plots[:2])
    assert stays(site)
    assert "stop the order, and begin anew" in site.report.why


def test_a_machine_that_is_not_allowed_it_any_more_resumes_nothing(site: Replotting) -> None:
    site.replotter.pause(site.switch())
    site.reconfigure(replot=False)
    with pytest.raises(OrderRefused, match=r"harvester\.replot"):
        site.replotter.resume(site.switch())
    assert site.journal.paused is not None


def test_a_plot_counts_once_however_often_it_arrives(
    site: Replotting, old_plots: list[Path], large_plots: list[Path]
) -> None:
    (one, *_) = site.arrive(large_plots[0])
    for _ in range(2):
        one.unlink()
        (one,) = site.arrive(large_plots[0])
    assert site.report.new_plots == 1
    assert stays(site)
    site.arrive(large_plots[1])
    assert site.once(), "its file of today counts"


def test_after_it_let_an_old_one_go_a_plot_that_comes_again_does_not_count(
    site: Replotting, old_plots: list[Path], large_plots: list[Path]
) -> None:
    new = site.arrive(*large_plots[:2])
    site.put(site.drives[0], old_plots[1])
    assert site.once()
    for path in new:
        path.unlink()
    site.arrive(*large_plots[:2])
    assert stays(site)
    assert site.report.new_plots == 2


def test_an_admission_that_was_cut_off_before_the_rename_counts_once(
    site: Replotting, large_plots: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = site.reserve(large_plots[0])
    with monkeypatch.context() as broken:
        broken.setattr(admit, "rename_new", lambda *_: (_ for _ in ()).throw(OSError(5, "I/O error")))
        with pytest.raises(OSError, match="I/O"):
            site.admit(delivery)
    assert site.report.new_plots == 1
    site.arrive(large_plots[1])
    assert stays(site), "it has no name yet"
    site.admit(delivery)
    assert site.report.new_plots == 2
    assert site.once()


def test_a_landing_that_cannot_be_counted_is_tried_again(
    site: Replotting, large_plots: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = site.reserve(large_plots[0])
    with monkeypatch.context() as full:
        full.setattr("harvester_worker.replot.journal.statefile.write", _no_space)
        with pytest.raises((OSError, PlotmanError)):
            site.admit(delivery)
    assert not [*site.drives[0].glob("*.gplot")], "it has no name that nobody counted"
    site.admit(delivery)
    assert site.report.new_plots == 1


def _no_space(*_: Any) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("text", ["", "{", '{"order": 5}', '{"unknown": 1}', "\0" * 100])
def test_with_a_journal_that_cannot_be_read_nothing_is_deleted_and_plots_arrive_as_without_an_order(
    site: Replotting, large_plots: list[Path], text: str
) -> None:
    site.arrive(*large_plots[:2])
    site.end()
    (site.folder / "state" / "replot.json").write_text(text, encoding="utf-8")
    site.begin()
    assert site.report.state is ReplotState.STOPPED
    assert "cannot be read, so nothing is deleted" in site.report.why
    with pytest.raises(PlotmanError, match="cannot be read"):
        site.order()
    site.arrive(large_plots[2])
    assert large_plots[2].name in names(site)
    assert not site.once()
    assert [*site.drives[0].glob("*.plot")]
    assert (site.folder / "state" / "replot.json").read_text(encoding="utf-8") == text


def names(site: Replotting) -> set[str]:
    return {path.name for drive in site.drives for path in drive.glob("*.*plot")}


@pytest.mark.parametrize("end", ["stopped", "held by another process"])
def test_a_plot_that_ends_its_way_while_the_worker_restarts_is_counted_by_the_next_one(
    site: Replotting, old_plots: list[Path], large_plots: list[Path], end: str
) -> None:
    """It would lie there uncounted, and be an old plot for the next worker."""
    before = names(site)
    late, new = site.reserve(old_plots[1]), site.reserve(large_plots[0])
    first = site.harvester
    if end == "stopped":
        first.replot.stop()
    else:
        first.inventory.stop()
        site.begin()
    for delivery in (late, new):
        with pytest.raises(TransferFailed, match="cannot be counted"):
            site.admit(delivery)
    assert names(site) == before
    if end == "stopped":
        first.inventory.stop()
        site.begin()
    else:
        first.replot.stop()
        site.replotter.open()
    (landed, _) = (Path(site.admit(delivery).landed) for delivery in (late, new))
    site.arrive(*large_plots[1:4])
    while site.once():
        pass
    assert site.report.new_plots == 4
    assert site.report.deleted_plots == 1
    assert landed.exists()


def test_a_machine_that_replaces_no_plots_takes_in_plots_whatever_becomes_of_the_journal(
    make_site: MakeSite, large_plots: list[Path]
) -> None:
    site = make_site("20m", replot=False)
    site.replotter.stop()
    assert site.arrive(large_plots[0])[0].exists()


def test_a_machine_that_may_have_an_order_admits_nothing_without_the_journal(
    make_site: MakeSite, large_plots: list[Path]
) -> None:
    allowed = make_site("20m")
    allowed.replotter.stop()
    with pytest.raises(TransferFailed, match="cannot be counted"):
        allowed.arrive(large_plots[0])


def test_an_order_on_a_machine_that_is_not_allowed_it_any_more_is_still_counted_for(
    site: Replotting, large_plots: list[Path]
) -> None:
    site.reconfigure(replot=False)
    site.replotter.stop()
    with pytest.raises(TransferFailed, match="cannot be counted"):
        site.arrive(large_plots[0])


def test_a_second_worker_on_the_same_state_deletes_nothing(site: Replotting, large_plots: list[Path]) -> None:
    site.arrive(*large_plots[:2])
    first = site.harvester
    site.begin()
    assert "another process has" in site.report.why
    assert not site.once()
    assert [*site.drives[0].glob("*.plot")]
    first.replot.stop()
    site.replotter.open()
    assert site.once(), "once the first one has ended"
    first.inventory.stop()


def test_an_order_survives_a_restart(site: Replotting, large_plots: list[Path]) -> None:
    site.arrive(*large_plots[:2])
    site.replotter.pause(site.switch())
    before = site.journal
    site.end()
    site.begin()
    assert site.journal == before
    assert stays(site)
    assert site.report.state is ReplotState.PAUSED
    site.replotter.resume(site.switch())
    assert site.once()


def test_another_order_begins_to_count_anew(site: Replotting, large_plots: list[Path]) -> None:
    site.arrive(*large_plots[:2])
    site.order({**OLD, "pool": "contract"}, low_water_bytes=30 << 20)
    assert site.report.new_plots == 0
    assert stays(site)
