"""Targets with the user's own scripts: what a script may do (with 0.5.3 it deleted the source), and what
happens to it when the archiver stops."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from pathlib import Path

import psutil
import pytest
import yaml

from common.errors import OrderRefused, TransferFailed
from common.worker.move_step import StepInterrupted
from common.worker.pool import StopEvent, StopReason
from tests.integration.plotter_worker.conftest import Site
from tests.support.paths import ROOT
from tests.support.plots import write_plot
from tests.support.waiting import eventually


def test_a_script_that_deletes_its_source_is_believed(site: Site, plot: Path) -> None:
    done = site.move(site.mover(**site.scripts('mv "$source" "$destination"')), plot)
    assert (site.root / "1" / plot.name).exists()
    assert "deleted the source" in done.verified


def test_a_script_that_keeps_the_source_is_judged_by_its_copy(site: Site, plot: Path) -> None:
    script = 'mkdir "$destination/new"; cp "$source" "$destination/new/"'
    done = site.move(site.mover(**site.scripts(script)), plot)
    assert done.landed == f"{site.root}/1/new/{plot.name}"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("true", "has no copy"),
        ('head -c 1000 "$source" > "$destination/$(basename "$source")"', "has 1000 of 4000000 bytes"),
        ('head -c 4000000 /dev/zero > "$destination/$(basename "$source")"', "begins with 00 00"),
        ('ln "$source" "$destination/"', "the source itself"),
        ("echo no such host >&2; exit 7", "transfer script exits 7: no such host"),
        ("kill -9 $$", "transfer script was killed by signal 9"),
    ],
)
def test_without_a_complete_copy_the_source_is_kept(site: Site, plot: Path, script: str, why: str) -> None:
    assert why in site.failure(site.scripts(script), plot)


def test_the_scripts_of_the_documentation_work(site: Site, plot: Path) -> None:
    text = (ROOT / "docs" / "archiving.md").read_text(encoding="utf-8")
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    sections = {block["archiving"]["target"]: block["archiving"] for block in blocks if "archiving" in block}
    assert set(sections) == {"harvester", "local_rsync", "rsyncd", "my_nas"}
    for name in ("local_rsync", "rsyncd"):
        assert site.target(**sections[name]).name == name
    archiving = sections["my_nas"] | {"env": {"share": str(site.root / "1")}}
    done = site.move(site.mover(**archiving), plot)
    assert done.landed == str(site.root / "1" / plot.name)
    assert plot.exists()


def test_a_transfer_script_that_cannot_be_run_is_reported(site: Site, plot: Path) -> None:
    archiving = site.scripts("true")
    archiving["target_definitions"]["mine"]["transfer_path"] = f"{site.folder}/none"
    assert "none does not exist" in site.failure(archiving, plot)


def test_a_failing_disk_space_script_is_reported_and_the_plot_kept(site: Site, plot: Path) -> None:
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


def test_a_path_that_is_no_plot_of_this_host_is_refused(site: Site) -> None:
    mover = site.mover(**site.scripts("true"))
    for path in ("/etc/passwd", str(write_plot(site.folder))):
        with pytest.raises(OrderRefused):
            mover.move(path, None, site.progress.append, StopEvent())


WAITS = 'while [ ! -e {folder}/go ]; do sleep 0.05; done; cp "$source" "$destination/"'


def begin(
    site: Site, plot: Path, stop: StopEvent, script: str = WAITS
) -> tuple[threading.Thread, list[BaseException]]:
    """Start a transfer that ends when the file `go` exists."""
    ends: list[BaseException] = []
    mover = site.mover(**site.scripts(script.format(folder=site.folder)))

    def run() -> None:
        try:
            site.move(mover, plot, stop)
        except (StepInterrupted, TransferFailed) as error:
            ends.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    eventually(site.marked, "the script runs", 10)
    return thread, ends


def test_a_script_keeps_running_when_its_archiver_stops(site: Site, plot: Path) -> None:
    stop = StopEvent()
    thread, ends = begin(site, plot, stop)
    stop.set(StopReason.SHUTDOWN)
    thread.join(10)
    assert isinstance(ends[0], StepInterrupted)
    (site.folder / "go").touch()
    eventually((site.root / "1" / plot.name).exists, "the copy is made", 10)
    assert plot.exists()


def test_terminating_the_task_ends_the_script(site: Site, plot: Path) -> None:
    stop = StopEvent()
    thread, ends = begin(site, plot, stop)
    stop.set(StopReason.TERMINATED)
    thread.join(15)
    assert "terminated" in str(ends[0])
    assert not site.marked()


def test_terminating_the_task_ends_children_that_ignore_sigterm(site: Site, plot: Path) -> None:
    stop = StopEvent()
    deaf = "(trap '' TERM; touch {folder}/deaf; exec sleep 3600) & wait"
    thread, ends = begin(site, plot, stop, deaf)
    eventually((site.folder / "deaf").exists, "it is deaf", 10)
    stop.set(StopReason.TERMINATED)
    thread.join(15)
    assert "terminated" in str(ends[0])
    assert not site.marked()


def test_two_transfers_to_one_target_never_run_at_once(site: Site, plot: Path) -> None:
    other = write_plot(site.dst)
    thread, ends = begin(site, plot, StopEvent())
    mover = site.movers[0]
    assert mover.sends(str(plot))
    assert not mover.sends(str(other))
    with pytest.raises(OrderRefused, match="Another transfer"):
        site.move(mover, other)
    assert not (site.root / "1" / other.name).exists()
    (site.folder / "go").touch()
    thread.join(10)
    assert ends == []
    assert not mover.sends(str(plot))
    assert site.move(mover, other).landed


@pytest.mark.parametrize("known_by", ["mark", "name and argument"])
def test_a_foreign_transfer_is_waited_for(site: Site, plot: Path, known_by: str) -> None:
    # No child of this process: an orphan of an earlier archiver, or of 0.5.3.
    env = {**os.environ} | ({"PLOTMAN_TARGET_TRANSFER": f"{site.folder}/state"} if known_by == "mark" else {})
    seconds = "3600" if known_by == "mark" else "3611"
    orphan = int(subprocess.check_output(["sh", "-c", f"sleep {seconds} >&- 2>&- & echo $!"], env=env))
    eventually(lambda: psutil.Process(orphan).name() == "sleep", "the shell has started it")
    archiving = site.scripts('cp "$source" "$destination/"')
    definition = archiving["target_definitions"]["mine"]
    if known_by != "mark":
        definition |= {"transfer_process_name": "sleep", "transfer_process_argument_prefix": "3611"}
    try:
        mover = site.mover(**archiving)
        mover.start()
        assert mover.report.elsewhere == f"sleep (pid {orphan})"
        with pytest.raises(StepInterrupted):
            site.move(mover, plot)
        assert site.published == 1  # beat must know what the plot waits for
    finally:
        os.kill(orphan, 9)
    eventually(lambda: mover.report.elsewhere is None, "its end is seen", 10)
    assert site.move(mover, plot).landed
