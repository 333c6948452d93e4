"""0.5.3's archiving targets with the real rsync: where plots go, and when a source may be deleted."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.errors import OrderRefused, TransferFailed
from common.moving import LetGo
from common.pool import StopEvent, StopReason
from plotter_worker.targets.space import SpaceUnknown
from tests.integration.plotter_worker.conftest import Site
from tests.support.plots import PLOT_BYTES, write_plot
from tests.support.waiting import eventually

ROOM = 100_000_000
Daemon = Callable[..., dict[str, Any]]


def local(site: Site, **env: Any) -> dict[str, Any]:
    return {"target": "local_rsync", "env": {"site_root": str(site.root), **env}}


def failure(site: Site, archiving: dict[str, Any], plot: Path) -> str:
    """Why the move fails; the source must still be there, unharmed."""
    before = plot.read_bytes()
    with pytest.raises((TransferFailed, SpaceUnknown)) as raised:
        site.move(site.mover(**archiving), plot)
    assert plot.read_bytes() == before
    return str(raised.value)


def test_local_rsync_copies_to_the_drive_at_the_index_and_leaves_the_source(site: Site, plot: Path) -> None:
    site.drives(a=ROOM, b=1000, c=ROOM)
    done = site.move(site.mover(**local(site, path_suffix="plots"), index=1), plot)

    copy = site.root / "c" / "plots" / plot.name
    assert done.landed == str(copy)
    assert copy.read_bytes() == plot.read_bytes()
    assert done.verified == "size and header, on its drive"
    assert site.progress[-1].done_bytes == PLOT_BYTES
    assert {(t.harvester, t.drive) for t in site.shown} == {("target local_rsync", str(site.root / "c"))}


def test_rsyncd_copies_through_the_daemon_and_asks_it_for_the_size(
    site: Site, plot: Path, daemon: Daemon
) -> None:
    site.drives(a=ROOM)
    done = site.move(site.mover(**daemon()), plot)
    assert (site.root / "a" / plot.name).read_bytes() == plot.read_bytes()
    assert done.verified == "rsync's checksum of what was sent, and the size there"
    assert plot.exists()


def test_a_daemon_that_lets_nobody_look_is_believed_for_its_checksum(
    site: Site, plot: Path, daemon: Daemon
) -> None:
    site.drives(a=ROOM)
    assert (
        site.move(site.mover(**daemon("write only = yes")), plot).verified
        == "rsync's checksum of what was sent"
    )


def test_an_old_rsync_that_knows_no_fsync_serves_and_is_told(site: Site, plot: Path, daemon: Daemon) -> None:
    site.drives(a=ROOM)
    mover = site.mover(**daemon("refuse options = fsync"))
    site.move(mover, plot)
    assert (site.root / "a" / plot.name).exists()
    assert any("--fsync" in problem for problem in mover.problems)


def test_the_daemon_that_we_deploy_serves_and_what_it_refuses_is_not_needed(
    site: Site, plot: Path, daemon: Daemon
) -> None:
    site.drives(a=ROOM)
    sample = (Path(__file__).parents[3] / "deploy" / "rsyncd.conf").read_text(encoding="utf-8")
    (refused,) = [line for line in sample.splitlines() if line.startswith("refuse options")]
    for line, flushes in ((refused, True), (refused.partition(" !fsync")[0], False)):
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


def test_a_copy_that_was_made_while_nobody_looked_is_compared_and_not_made_twice(
    site: Site, plot: Path, daemon: Daemon
) -> None:
    site.drives(a=ROOM, b=1000)
    (site.root / "b" / plot.name).write_bytes(plot.read_bytes())
    inode = (site.root / "b" / plot.name).stat().st_ino
    for archiving in (local(site), daemon()):
        assert "/b/" in site.move(site.mover(**archiving), plot).landed
        assert (site.root / "b" / plot.name).stat().st_ino == inode
        assert not (site.root / "a" / plot.name).exists()


def test_what_a_killed_rsync_left_of_the_plot_gives_its_room_back(site: Site, plot: Path) -> None:
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


def test_a_drive_that_dropped_out_during_the_transfer_keeps_the_source(site: Site, plot: Path) -> None:
    site.drives(a=ROOM)
    real = shutil.which("rsync")
    site.program("rsync", f'{real} "$@"; code=$?; echo "#!/bin/sh" > {site.folder}/bin/df; exit $code')
    assert "is no folder of the target any more" in failure(site, local(site), plot)


def test_a_folder_that_is_both_dst_and_target_keeps_its_plot(site: Site) -> None:
    site.drives(a=ROOM)
    plot = write_plot(site.root / "a")
    (site.dst).rmdir()
    site.dst.symlink_to(site.root / "a")
    assert "the source itself" in failure(site, local(site), site.dst / plot.name)


def test_a_transfer_that_fails_says_why_and_where_its_output_is(
    site: Site, plot: Path, daemon: Daemon
) -> None:
    site.drives(a=ROOM)
    told = failure(site, daemon("read only = yes"), plot)
    assert "module is read only" in told
    assert ".transfer.log" in told
    given = daemon()
    given["env"]["rsync_port"] = 1
    assert "the connection broke" in failure(site, given, plot)


def test_without_room_both_numbers_are_told(site: Site, plot: Path) -> None:
    site.drives(a=5_000_000, b=1000)
    told = failure(site, local(site), plot)
    assert "plot needs 14.0 MB; largest free folder of target local_rsync" in told
    assert "has 5.0 MB" in told


def test_what_other_plotters_send_to_a_drive_takes_up_its_room(site: Site, plot: Path) -> None:
    site.drives(a=20_000_000, b=ROOM)
    assert "/b/" in site.move(site.mover(**local(site)), plot, a=3 * PLOT_BYTES).landed


# What the user's own scripts may do. 0.5.3 left deleting the source to them.


def test_a_script_that_deletes_its_source_is_believed(site: Site, plot: Path) -> None:
    done = site.move(site.mover(**site.scripts('mv "$source" "$destination"')), plot)
    assert (site.root / "1" / plot.name).exists()
    assert "deleted the source" in done.verified


def test_a_script_that_leaves_its_source_is_judged_by_the_copy_that_is_seen(site: Site, plot: Path) -> None:
    script = 'mkdir "$destination/new"; cp "$source" "$destination/new/"'
    done = site.move(site.mover(**site.scripts(script)), plot)
    assert done.landed == f"{site.root}/1/new/{plot.name}"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("true", "no copy is seen"),
        ('head -c 1000 "$source" > "$destination/$(basename "$source")"', "has 1000 of 4000000 bytes"),
        ('head -c 4000000 /dev/zero > "$destination/$(basename "$source")"', "begins with 00 00"),
        ('ln "$source" "$destination/"', "the source itself"),
        ("echo no such host >&2; exit 7", "transfer script exits 7: no such host"),
        ("kill -9 $$", "transfer script was killed by signal 9"),
    ],
)
def test_a_script_that_did_not_make_a_whole_copy_keeps_its_source(
    site: Site, plot: Path, script: str, why: str
) -> None:
    assert why in failure(site, site.scripts(script), plot)


def test_the_scripts_of_the_documentation_work(site: Site, plot: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "archiving.md").read_text(encoding="utf-8")
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    sections = {block["archiving"]["target"]: block["archiving"] for block in blocks if "archiving" in block}
    assert set(sections) == {"harvester", "local_rsync", "rsyncd", "my_nas"}
    for name in ("local_rsync", "rsyncd"):
        assert site.target(**sections[name]).name == name
    archiving = sections["my_nas"] | {"env": {"share": str(site.root / "1")}}
    done = site.move(site.mover(**archiving), plot)
    assert done.landed == str(site.root / "1" / plot.name)
    assert plot.exists()


def test_a_transfer_script_that_cannot_be_run_is_told(site: Site, plot: Path) -> None:
    archiving = site.scripts("true")
    archiving["target_definitions"]["mine"]["transfer_path"] = f"{site.folder}/none"
    assert "none is not there" in failure(site, archiving, plot)


def test_a_disk_space_script_that_fails_keeps_the_plot_and_stands_in_the_snapshot(
    site: Site, plot: Path
) -> None:
    mover = site.mover(**site.scripts("true", "#!/bin/sh\necho df: no answer >&2\nexit 1\n"))
    mover.start()
    eventually(lambda: mover.report.trouble, "the trouble is known", 10)
    assert "disk space script exits 1: df: no answer." in (mover.report.trouble or "")
    assert mover.report.trouble in mover.problems
    assert "df: no answer" in (site.folder / "disk_spaces.log").read_text()
    (site.folder / "state/targets/mine.disk_space").write_text(
        f"#!/bin/sh\necho /x:lots\necho {site.root}/1:5\n"
    )
    eventually(lambda: not mover.report.trouble, "it is over when the script works", 10)
    assert [space.free_bytes for space in mover.report.spaces] == [5]
    assert "/x:lots" in mover.problems[0]


def test_what_is_no_plot_of_this_host_is_not_touched(site: Site) -> None:
    mover = site.mover(**site.scripts("true"))
    for path in ("/etc/passwd", str(write_plot(site.folder))):
        with pytest.raises(OrderRefused):
            mover.move(path, None, site.progress.append, StopEvent())


# Leaving and coming back.


def begin(site: Site, plot: Path, stop: StopEvent) -> tuple[threading.Thread, list[BaseException]]:
    """A transfer that takes until the file `go` is there."""
    ends: list[BaseException] = []
    script = f'while [ ! -e {site.folder}/go ]; do sleep 0.05; done; cp "$source" "$destination/"'
    mover = site.mover(**site.scripts(script))

    def run() -> None:
        try:
            site.move(mover, plot, stop)
        except (LetGo, TransferFailed) as error:
            ends.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    eventually(site.marked, "the script runs", 10)
    return thread, ends


def test_a_transfer_goes_on_when_its_archiver_leaves(site: Site, plot: Path) -> None:
    stop = StopEvent()
    thread, ends = begin(site, plot, stop)
    stop.set(StopReason.SHUTDOWN)
    thread.join(10)
    assert isinstance(ends[0], LetGo)
    (site.folder / "go").touch()
    eventually((site.root / "1" / plot.name).exists, "the copy is made", 10)
    assert plot.exists()


def test_a_person_who_terminates_the_transfer_ends_its_script(site: Site, plot: Path) -> None:
    stop = StopEvent()
    thread, ends = begin(site, plot, stop)
    stop.set(StopReason.TERMINATED)
    thread.join(15)
    assert "terminated" in str(ends[0])
    assert not site.marked()


@pytest.mark.parametrize("known_by", ["mark", "name and argument"])
def test_a_transfer_that_runs_already_is_waited_for(site: Site, plot: Path, known_by: str) -> None:
    # Not our own child: an orphan, as an archiver that is gone leaves behind, or 0.5.3's.
    env = {**os.environ} | ({"PLOTMAN_TARGET_TRANSFER": f"{site.folder}/state"} if known_by == "mark" else {})
    seconds = "3600" if known_by == "mark" else "3611"
    orphan = int(subprocess.check_output(["sh", "-c", f"sleep {seconds} >&- 2>&- & echo $!"], env=env))
    archiving = site.scripts('cp "$source" "$destination/"')
    definition = archiving["target_definitions"]["mine"]
    if known_by != "mark":
        definition |= {"transfer_process_name": "sleep", "transfer_process_argument_prefix": "3611"}
    try:
        mover = site.mover(**archiving)
        mover.start()
        assert mover.report.elsewhere == f"sleep (pid {orphan})"
        with pytest.raises(LetGo):
            site.move(mover, plot)
    finally:
        os.kill(orphan, 9)
    eventually(lambda: mover.report.elsewhere is None, "its end is seen", 10)
    assert site.move(mover, plot).landed
