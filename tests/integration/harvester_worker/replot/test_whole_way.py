"""Old plots are replaced by new ones, to the end: real plots of both formats on small drives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import OrderRefused
from common.model.replot import OldClass
from common.model.replot_report import ReplotState
from harvester_worker.replot import replotter, surroundings
from harvester_worker.replot.removal import Removal, Stays
from tests.support import formats
from tests.support.replot_killed import victim_of
from tests.support.replotting import OLD, Replotting
from tests.support.waiting import eventually

MakeSite = Callable[..., Replotting]


def test_an_old_plot_goes_once_as_many_bytes_of_new_ones_have_come(
    make_site: MakeSite, old_plots: list[Path], new_plots: list[Path]
) -> None:
    site = make_site("9m", "14m")
    full, empty = site.drives
    old = site.put(full, *old_plots[:2])
    assert "replaces old plots by new ones: old" in site.order()
    assert not site.once()
    assert site.report.state is ReplotState.WAITING
    assert "no new plot has arrived" in site.report.why

    new: list[Path] = []
    needed = old[0].stat().st_size
    for plot in new_plots[:8]:
        arrived = sum(path.stat().st_size for path in new)
        if arrived < needed:
            assert not site.once()
            assert old[0].exists()
        new += site.arrive(plot)
    assert "waits for" in site.report.why
    assert {path.parent for path in new} <= {full, empty}
    assert site.once()
    gone = [path for path in old if not path.exists()]
    assert gone == [min(old)], "by name, as the plan lists them"
    assert all(path.exists() for path in new)
    report = site.report
    assert (report.deleted_plots, report.deleted_bytes) == (1, needed)
    assert report.new_plots == 8
    assert report.unused_bytes == report.new_bytes - needed
    assert report.classes[0].left_plots == 2, "before the look"
    assert not site.once(), "the next one waits for its own bytes"
    assert site.report.classes[0].left_plots == 1
    assert site.kinds().count("plot-replaced") == 1
    rows = eventually(site.rows, "the history has a row")
    assert (rows[0].path, rows[0].size_bytes) == (str(gone[0]), needed)


def test_the_order_is_done_when_no_plot_of_the_classes_is_left(
    make_site: MakeSite,
    old_plots: list[Path],
    new_plots: list[Path],
    large_plots: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replotter, "_LOOK_EVERY_S", 0.05)
    site = make_site("20m", "30m", proofs=1)
    old = site.put(site.drives[0], *old_plots[:2])
    site.order(low_water_bytes=30 << 20)
    site.replotter.start()
    new = site.arrive(*new_plots[:14])
    eventually(lambda: site.report.state is ReplotState.DONE, "the order is done")
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in new)
    assert site.kinds()[-1] == "replot-done"
    site.arrive(*large_plots[:2])
    late = site.put(site.drives[0], old_plots[2])
    site.known()
    assert not site.look()
    assert late[0].exists(), "an order that is done deletes nothing any more"


def test_old_plots_stay_while_their_drive_has_room_for_a_new_one(
    make_site: MakeSite, old_plots: list[Path], new_plots: list[Path]
) -> None:
    site = make_site("60m", proofs=1)
    (old,) = site.put(site.drives[0], old_plots[0])
    site.order()
    site.arrive(*new_plots[:8])
    assert not site.once()
    assert "have room for the next new plot" in site.report.why
    assert old.exists()
    site.order(low_water_bytes=60 << 20)
    assert site.once(), "with a low water, there is none beyond it"


def test_low_water_of_this_machine_comes_before_that_of_the_order(
    make_site: MakeSite, old_plots: list[Path], new_plots: list[Path]
) -> None:
    site = make_site("60m", proofs=1, low_water_bytes=0)
    site.put(site.drives[0], old_plots[0])
    site.order(low_water_bytes=60 << 20)
    site.arrive(*new_plots[:8])
    assert not site.once()
    assert site.report.low_water_bytes == 0


def test_no_more_than_the_day_s_number_go(
    make_site: MakeSite, old_plots: list[Path], new_plots: list[Path]
) -> None:
    site = make_site("13m", "14m", proofs=1)
    site.put(site.drives[0], *old_plots[:3])
    site.order(max_per_day=1, low_water_bytes=30 << 20)
    site.arrive(*new_plots[:14])
    assert site.once()
    assert not site.once()
    assert "1 of 1 old plots have gone today" in site.report.why
    site.replotter.end(site.switch())
    site.order(max_per_day=1, low_water_bytes=30 << 20)
    assert not site.once(), "a new order begins no new day"
    site.order(max_per_day=2, low_water_bytes=30 << 20)
    assert not site.once(), "what arrived before a new order does not count for it"


def test_plots_go_in_the_order_of_the_plan(
    make_site: MakeSite, old_plots: list[Path], new_plots: list[Path]
) -> None:
    site = make_site("9m", "9m", "20m", proofs=1)
    one, two = site.drives[:2]
    first = site.put(one, *old_plots[:2])
    second = site.put(two, *old_plots[2:4])
    site.order(low_water_bytes=30 << 20)
    site.arrive(*new_plots[:14])
    assert site.once()
    assert site.once()
    assert not any(path.exists() for path in first), "drive by drive"
    assert all(path.exists() for path in second)


def test_a_class_waits_for_its_date(
    make_site: MakeSite, old_plots: list[Path], new_plots: list[Path]
) -> None:
    site = make_site("5m", "14m", proofs=1)
    (old,) = site.put(site.drives[0], old_plots[0])
    site.order({**OLD, "not_before": "2190-01-01T00:00:00Z"})
    site.arrive(*new_plots[:8])
    assert not site.once()
    assert "the next class begins at 2190-01-01" in site.report.why
    assert old.exists()
    site.order({**OLD, "not_before": "2020-01-01T00:00:00Z"})
    assert site.once(), "what was counted stays, if only the dates are others"


@pytest.mark.parametrize(
    ("changed", "why"), [({"replot": False}, "harvester.replot"), ({"proofs": 0}, "proofs")]
)
def test_without_leave_in_plotman_yaml_no_order_is_taken(
    make_site: MakeSite, changed: dict[str, object], why: str
) -> None:
    site = make_site("9m", **changed)
    with pytest.raises(OrderRefused, match=why):
        site.order()
    assert site.replotter.report() is None


def test_the_order_is_not_done_while_a_drive_was_not_read(
    make_site: MakeSite, old_plots: list[Path], large_plots: list[Path]
) -> None:
    site = make_site("20m", "20m", proofs=1)
    site.put(site.drives[1], old_plots[0])
    away = site.folder / "away"
    site.reconfigure(drives=[str(site.drives[0]), str(away)])
    site.order(low_water_bytes=30 << 20)
    eventually(lambda: site.harvester.inventory.unread() == [str(away)], "the other drive is read")
    assert not site.look()
    assert f"these drives are not read completely: {away}" in site.report.why
    assert not site.journal.done
    site.reconfigure(drives=[str(drive) for drive in site.drives])
    site.arrive(*large_plots[:2])
    assert site.once(), "its plots are there again"


def test_bytes_that_a_file_system_gives_back_late_count_as_free(
    make_site: MakeSite,
    old_plots: list[Path],
    large_plots: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(surroundings, "FREED_LATE_S", 1000.0)
    site = make_site("20m", "20m", proofs=1)
    site.put(site.drives[0], *old_plots[:2])
    site.order(low_water_bytes=3 << 20)
    arrived = site.arrive(*large_plots[:4])
    assert {path.parent for path in arrived} == {site.drives[0]}
    assert site.once(), "there were 0.5 MB"
    assert not site.once(), "there are 4.5 MB, and as many may be on their way back"
    assert "have room for the next new plot" in site.report.why
    monkeypatch.setattr(surroundings, "FREED_LATE_S", 0.0)
    assert site.once()


def test_a_file_whose_size_does_not_fit_its_header_stays(
    make_site: MakeSite, large_plots: list[Path]
) -> None:
    site = make_site("20m", "20m", proofs=1)
    old = site.drives[0] / f"plot-k25-2026-11-22-15-48-{bytes([15] * 32).hex()}.plot"
    old.write_bytes(formats.small_v1(25))
    site.order({"name": "old", "k": 25}, low_water_bytes=30 << 20)
    site.arrive(*large_plots[:2])
    assert not site.once()
    assert site.report.classes[0].left_plots == 1
    assert "replot-refused" not in site.kinds(), "it was never in work"
    with pytest.raises(Stays, match="has not the size of such a plot"):
        Removal(
            victim_of(old),
            OldClass("old", 25),
            must_be_mounted=False,
            may_go=lambda: None,
            deleting=lambda: None,
            settled=lambda: None,
        ).run()
    assert old.exists()
