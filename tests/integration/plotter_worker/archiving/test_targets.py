"""0.5.3's archiving targets with the real rsync: where plots go, and when a source may be deleted."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.errors import OrderRefused
from common.worker.move_step import never
from plotter_worker.archiving.targets import copies, rsync
from tests.integration.plotter_worker.conftest import Site
from tests.support.paths import ROOT
from tests.support.plots import PLOT_BYTES, write_plot
from tests.support.waiting import eventually

ROOM = 100_000_000
Daemon = Callable[..., dict[str, Any]]


def local(site: Site, **env: Any) -> dict[str, Any]:
    return {"target": "local_rsync", "env": {"site_root": str(site.root), **env}}


def test_local_rsync_copies_to_the_drive_at_the_index_and_leaves_the_source(site: Site, plot: Path) -> None:
    site.drives(a=ROOM, b=1000, c=ROOM)
    done = site.move(site.mover(**local(site, path_suffix="plots"), index=1), plot)

    copy = site.root / "c" / "plots" / plot.name
    assert done.landed == str(copy)
    assert copy.read_bytes() == plot.read_bytes()
    assert done.verified == "size and header, on its drive"
    assert site.progress[-1].done_bytes == PLOT_BYTES
    assert {(t.harvester, t.drive) for t in site.shown} == {("target local_rsync", str(site.root / "c"))}


def test_a_local_copy_and_its_folder_are_flushed_before_the_source_may_be_deleted(
    site: Site, plot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        flushed.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    site.drives(a=ROOM)
    site.move(site.mover(**local(site)), plot)
    assert flushed == [f"{site.root}/a/{plot.name}", f"{site.root}/a"]


def test_rsyncd_copies_through_the_daemon_and_asks_it_for_the_size(
    site: Site, plot: Path, daemon: Daemon
) -> None:
    site.drives(a=ROOM)
    done = site.move(site.mover(**daemon()), plot)
    assert (site.root / "a" / plot.name).read_bytes() == plot.read_bytes()
    assert done.verified == "rsync's checksum of what was sent, and the size there"
    assert plot.exists()


def test_a_copy_that_the_daemon_lists_with_another_size_keeps_the_source(
    site: Site, plot: Path, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.drives(a=ROOM)
    monkeypatch.setattr(rsync, "listed_bytes", lambda *_: 1000)
    assert f"has 1000 of {PLOT_BYTES} bytes" in site.failure(daemon(), plot)


def test_a_daemon_that_lists_nothing_is_trusted_for_its_checksum(
    site: Site, plot: Path, daemon: Daemon
) -> None:
    site.drives(a=ROOM)
    assert (
        site.move(site.mover(**daemon("write only = yes")), plot).verified
        == "rsync's checksum of what was sent"
    )


def test_an_old_rsync_without_fsync_works_and_is_reported(site: Site, plot: Path, daemon: Daemon) -> None:
    site.drives(a=ROOM)
    mover = site.mover(**daemon("refuse options = fsync"))
    site.move(mover, plot)
    assert (site.root / "a" / plot.name).exists()
    assert any("--fsync" in problem for problem in mover.problems)


def test_the_daemon_that_we_deploy_serves_and_what_it_refuses_is_not_needed(
    site: Site, plot: Path, daemon: Daemon
) -> None:
    site.drives(a=ROOM)
    sample = (ROOT / "deploy" / "rsyncd.conf").read_text(encoding="utf-8")
    (refused,) = [line for line in sample.splitlines() if line.startswith("refuse options")]
    for line, flushes in ((refused, True), (refused.replace(" !fsync", ""), False)):
        mover = site.mover(**daemon("list = no", line))
        for again in (False, True):
            assert site.move(mover, plot).verified.endswith("and the size there"), again
        assert (not mover.problems) == flushes


def test_a_daemon_with_a_password_is_reached_with_the_users_options(
    site: Site, plot: Path, daemon: Daemon
) -> None:
    site.drives(a=ROOM)
    for name, text in (("theirs", "chia:secret\n"), ("ours", "secret\n")):
        (site.folder / name).write_text(text)
        (site.folder / name).chmod(0o600)
    given = daemon("auth users = chia", f"secrets file = {site.folder}/theirs")
    given["env"]["options"] = f"--whole-file --password-file={site.folder}/ours"
    assert site.move(site.mover(**given), plot).verified.endswith("and the size there")


def test_a_copy_made_without_an_archiver_is_compared_and_not_made_twice(
    site: Site, plot: Path, daemon: Daemon
) -> None:
    site.drives(a=ROOM, b=1000)
    (site.root / "b" / plot.name).write_bytes(plot.read_bytes())
    inode = (site.root / "b" / plot.name).stat().st_ino
    for archiving in (local(site), daemon()):
        assert "/b/" in site.move(site.mover(**archiving), plot).landed
        assert (site.root / "b" / plot.name).stat().st_ino == inode
        assert not (site.root / "a" / plot.name).exists()


def test_temporary_files_of_a_killed_rsync_are_deleted(site: Site, plot: Path) -> None:
    site.drives(a=ROOM, b=ROOM)
    left = site.root / "b" / f".{plot.name}.aB3dEf"
    others = site.root / "b" / f".{plot.name[:-6]}x.plot.aB3dEf"
    for path in (left, others):
        path.write_bytes(b"half")
    site.move(site.mover(**local(site)), plot)
    assert not left.exists()
    assert others.exists()


@pytest.mark.parametrize("far", [False, True])
def test_a_copy_of_full_size_made_of_zeros_is_replaced(
    site: Site, plot: Path, daemon: Daemon, far: bool
) -> None:
    site.drives(a=ROOM)
    (site.root / "a" / plot.name).write_bytes(bytes(PLOT_BYTES))
    site.move(site.mover(**daemon() if far else local(site)), plot)
    assert (site.root / "a" / plot.name).read_bytes() == plot.read_bytes()


def test_the_source_is_kept_if_the_drive_disappears_during_the_transfer(site: Site, plot: Path) -> None:
    site.drives(a=ROOM)
    real = shutil.which("rsync")
    site.program("rsync", f'{real} "$@"; code=$?; echo "#!/bin/sh" > {site.folder}/bin/df; exit $code')
    assert "is no longer a folder of the target" in site.failure(local(site), plot)


def test_a_copy_on_another_file_system_than_the_chosen_one_keeps_the_source(
    site: Site, plot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.drives(a=ROOM)
    monkeypatch.setattr(copies, "local_device", lambda *_: -1)
    assert "is on another drive than the chosen one" in site.failure(local(site), plot)


def test_a_folder_that_is_both_dst_and_target_keeps_its_plot(site: Site) -> None:
    site.drives(a=ROOM)
    plot = write_plot(site.root / "a")
    (site.dst).rmdir()
    site.dst.symlink_to(site.root / "a")
    assert "the source itself" in site.failure(local(site), site.dst / plot.name)


def test_a_transfer_that_fails_says_why_and_where_its_output_is(
    site: Site, plot: Path, daemon: Daemon
) -> None:
    site.drives(a=ROOM)
    told = site.failure(daemon("read only = yes"), plot)
    assert "module is read only" in told
    assert ".transfer.log" in told
    given = daemon()
    given["env"]["rsync_port"] = 1
    assert "the connection broke" in site.failure(given, plot)


def test_without_space_the_error_has_both_numbers(site: Site, plot: Path) -> None:
    site.drives(a=5_000_000, b=1000)
    told = site.failure(local(site), plot)
    assert "plot needs 14.0 MB; largest free folder of target local_rsync" in told
    assert "has 5.0 MB" in told


def test_transfers_of_other_plotters_take_space_on_a_drive(site: Site, plot: Path) -> None:
    site.drives(a=20_000_000, b=ROOM)
    assert "/b/" in site.move(site.mover(**local(site)), plot, a=3 * PLOT_BYTES).landed


def test_an_order_about_another_file_than_there_is_sends_nothing(site: Site, plot: Path) -> None:
    site.drives(a=ROOM)
    mover = site.mover(**local(site))
    with pytest.raises(OrderRefused, match=f"has {PLOT_BYTES} bytes, not {PLOT_BYTES + 1}"):
        mover.move(str(plot), PLOT_BYTES + 1, site.progress.append, never)
    missing = str(plot).replace("2026", "2027")
    with pytest.raises(OrderRefused, match="no longer exists"):
        mover.move(missing, None, site.progress.append, never)
    assert list((site.root / "a").iterdir()) == []
    assert mover.move(str(plot), None, site.progress.append, never).size_bytes == PLOT_BYTES


def test_the_folders_are_asked_for_after_a_transfer_where_the_copy_is_checked_by_them(
    site: Site, plot: Path
) -> None:
    asked = site.folder / "asked"
    once = f'[ -e {asked} ] && echo no answer >&2 && exit 1; touch {asked}; echo "{site.root}/1:{ROOM}"'
    theirs = site.scripts('cp "$source" "$destination/"', f"#!/bin/sh\n{once}\n")
    assert site.move(site.mover(**theirs), plot).landed == f"{site.root}/1/{plot.name}"

    site.drives(a=ROOM)
    df = (site.folder / "bin" / "df").read_text().removeprefix("#!/bin/sh\n")
    asked.unlink()
    site.program("df", f"[ -e {asked} ] && exit 1; touch {asked}\n{df}")
    assert "disk space script exits 1" in site.failure(local(site), plot)


def test_a_mover_that_is_stopped_asks_for_no_space(site: Site) -> None:
    site.drives(a=ROOM)
    before = set(threading.enumerate())
    mover = site.mover(**local(site))
    mover.start()
    mover.stop()
    eventually(lambda: not set(threading.enumerate()) - before, "its thread has ended", 10)
