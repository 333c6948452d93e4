"""What stands around plotman, and what its users do: other plotmans, other programs, clocks, full and hanging
disks, a Redis without memory or of another make, an upgrade while everything is under way.

One farm for all. The harvester runs as a user without rights.
"""

from __future__ import annotations

import re
import shutil
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.farm.help import delivered, drive_of, fill, in_turn, running, sending, starts
from tests.support import installed
from tests.support.machine import Machine
from tests.support.machines import HUB, MB, OWN, Machines
from tests.support.namespaces import call
from tests.support.sections import SCHEDULING, by_hand, small_plots
from tests.support.secured import redis_server
from tests.support.waiting import eventually
from tests.support.watch import Watch
from tests.support.wrong_clock import DAY_S, HOUR_S

pytestmark = pytest.mark.timeout(240)

NOBODY = 65_534


def build(farm: Machines) -> None:
    farm.add_scheduler()
    for name in ("p1", "p2"):
        farm.add_plotter(name, own_bytes=24 * MB)
    farm.add_harvester("h1", drives=4, drive_bytes=96 * MB, own_bytes=24 * MB).belongs_to(NOBODY)


@pytest.fixture
def slow(machines: Machines) -> Iterator[None]:
    """Plots leave their plotters slowly."""
    for plotter in machines.plotters.values():
        plotter.host.rate(5)
    yield
    full_speed(machines)


def full_speed(machines: Machines) -> None:
    for plotter in machines.plotters.values():
        plotter.host.rate(0)


def said(machines: Machines, *sentences: str, timeout_s: float = 30) -> None:
    """Wait until both `status` and `why` say all of this."""

    def missing() -> list[str]:
        answers = {verb: machines.schedulers[HUB].run(verb) for verb in ("status", "why")}
        return [f"{verb}: {each}" for verb, text in answers.items() for each in sentences if each not in text]

    last: list[str] = []

    def all_said() -> bool:
        last[:] = missing()
        return not last

    try:
        eventually(all_said, "status and why say it", timeout_s)
    except AssertionError:
        raise AssertionError(f"not said within {timeout_s} s: {last}") from None


def restart(machines: Machines, *which: Machine, ahead_s: float = 0) -> None:
    for machine in which:
        machine.down()
    for machine in which:
        machine.up(ahead_s)
    machines.all_there()


def with_dst(machines: Machines, name: str, dst: Path) -> None:
    """Let a plotter that runs use another dst directory."""
    plotter = machines.plotters[name]
    plotter.dst = dst
    plotter.settings["directories"]["dst"] = [str(dst)]
    plotter.configure()

    def follows() -> bool:
        snapshot = machines.plotter(name)
        return bool(snapshot) and [each.path for each in snapshot.dst_dirs] == [str(dst)]

    eventually(follows, f"{name} has read its plotman.yaml")


def test_two_plotters_have_one_dst(machines: Machines, watch: Watch) -> None:
    """Both see each plot; it is moved by one of them, and by the other if that one has gone."""
    before = len(watch.known())
    p1, p2 = machines.plotters.values()
    own = p2.dst
    shared = p2.host.share(p1.host, "dst")
    with_dst(machines, "p2", p1.dst)
    try:
        for name in machines.plotters:
            machines.more(name, 2)
        delivered(machines, watch, before + 4)
    finally:
        with_dst(machines, "p2", own)
        del p2.host.drives[shared]
        p2.host.call("umount", "--lazy", p1.dst)


def test_blocks_that_a_drive_keeps_for_root_are_no_room(machines: Machines, watch: Watch) -> None:
    """Neither for the harvester's user nor by the watch, which looks as root. Nothing is begun that would not
    fit: no reservation fails."""
    before = len(watch.known())
    harvester = machines.harvesters["h1"]
    litter: list[Path] = []
    begun = harvester.parts()
    try:
        for name, path in harvester.drives.items():
            harvester.host.reserve(name, 20)  # some 19 MB
            litter.append(fill(harvester.host.seen(path), leave_bytes=3 * MB))
        eventually(
            lambda: (
                (seen := machines.harvester("h1")) and all((d.free_bytes or 0) < 4 * MB for d in seen.drives)
            ),
            "the harvester has seen it",
        )
        machines.more("p1", 1)
        said(machines, "largest free drive of h1 has")
        assert "retry" not in machines.waits()
        assert harvester.parts() == begun
    finally:
        for name in harvester.drives:
            harvester.host.reserve(name, 0)
        for file in litter:
            file.unlink()
    delivered(machines, watch, before + 1)


def neighbour(machines: Machines, name: str, **farm: Any) -> Machine:
    """A plotman of another user on p1's machine, with files and directories of its own."""
    host = machines.plotters["p1"].host
    folder = host.folder / f"of {name}"
    tmp, dst, root = (folder / part for part in ("tmp", "dst", "chia"))
    for path in (tmp, dst):
        path.mkdir(parents=True)
    shutil.copytree(machines.environment["CHIA_ROOT"], root)
    settings = {
        "version": [2],
        "farm": {"state": str(folder / "state"), "host": name, "flower": False} | farm,
        "logging": {"plots": str(folder / "logs")},
        "directories": {"tmp": [str(tmp)], "dst": [str(dst)]},
        "scheduling": SCHEDULING,
        "plotting": small_plots(machines.chia),
    }
    made = Machine(host, settings, {"CHIA_ROOT": str(root)}, folder)
    made.belongs_to(NOBODY)
    call("chown", "-R", f"{NOBODY}:{NOBODY}", folder)
    return made


def test_two_users_of_one_machine_have_a_plotman_each(machines: Machines, watch: Watch) -> None:
    """Neither takes the other's plots for its own. A second of one name in one farm does not start."""
    before = len(watch.known())
    p1 = machines.plotters["p1"]
    theirs = neighbour(machines, "theirs")
    theirs.up()
    their_dst = Path(theirs.settings["directories"]["dst"][0])
    try:
        eventually(lambda: list(their_dst.glob("*.plot")), "theirs makes plots", 60)
        machines.more("p1", 2)
        ours = {job.pid for job in running(machines, "p1", 2).values()}
        owners = p1.host.call("ps", "-o", "uid=", "-p", ",".join(map(str, ours))).split()
        assert owners == ["0", "0"]
        seen = theirs.run("status")
        assert str(their_dst) in seen
        assert str(p1.dst) not in seen
        second = neighbour(machines, "p1", broker=p1.settings["farm"]["broker"])
        second.up()
        log = second.state / "logs" / "plotter.log"
        refusal = "Another plotman on this machine runs as plotter@p1."
        eventually(lambda: log.exists() and refusal in log.read_text(), "it is refused", 40)
        assert "also calls itself" not in machines.schedulers[HUB].run("status")
        second.down()
        made = len(list(their_dst.glob("*.plot")))
        eventually(lambda: len(list(their_dst.glob("*.plot"))) > made, "theirs still makes plots", 60)
    finally:
        theirs.down()
    delivered(machines, watch, before + 2)
    assert "WARNING" not in (theirs.state / "logs" / "plotter.log").read_text()


def test_clocks_are_hours_off_while_users_rename_a_source_and_copy_another(
    machines: Machines, watch: Watch, slow: None
) -> None:
    """p1 is two hours behind, p2 a day ahead. Later the harvester's clock jumps a day ahead in a transfer,
    and its sweep finds all parts old."""
    before = len(watch.known())
    p1, p2 = machines.plotters.values()
    harvester = machines.harvesters["h1"]
    restart(machines, p1, ahead_s=-2 * HOUR_S)
    restart(machines, p2, ahead_s=DAY_S)
    try:
        for name in machines.plotters:
            machines.more(name, 1)
        for name in in_turn(machines, 0.2):
            plotter, transfer = machines.plotters[name], sending(machines, name, 0.2)
            source = plotter.host.seen(transfer.path)
            if plotter is p1:
                source.rename(source.with_name(re.sub(r"-20\d\d-", "-2011-", source.name, count=1)))
            else:
                used = drive_of(machines, transfer)
                other = next(path for drive, path in harvester.drives.items() if drive != used)
                folder = harvester.host.seen(other)
                shutil.copy(source, folder / "copy").rename(folder / source.name)
        said(machines, "clock is 2h 0m behind Redis'", "clock is 1d 0h ahead of Redis'")
        full_speed(machines)
        delivered(machines, watch, before + 2)
        p1.host.rate(5)
        machines.more("p1", 1)
        sending(machines, "p1", 0.3)
        restart(machines, harvester, ahead_s=DAY_S)
        p1.host.rate(0)
        delivered(machines, watch, before + 3)
    finally:
        restart(machines, p1, p2, harvester)


def test_disks_with_plotmans_own_files_are_full_and_one_hangs(machines: Machines, watch: Watch) -> None:
    """p1's and the harvester's are full. p2's, with the logs of its plots, takes no writes."""
    before = len(watch.known())
    p1, p2 = machines.plotters.values()
    full_ones = (p1, machines.harvesters["h1"])
    for name in machines.plotters:
        machines.more(name, 1)
        running(machines, name)
    litter = [fill(each.host.seen(each.host.drives[OWN].path), leave_bytes=0) for each in full_ones]
    p2.host.freeze(OWN, True)
    try:
        full, hangs = "is full: ", "does not answer. Check its drive"
        said(
            machines,
            *(
                f"The folder of plotman's state, {each.settings['farm']['state']}, {full}"
                for each in full_ones
            ),
            f"The folder of the plots' logs, {p1.settings['logging']['plots']}, {full}",
            f"The folder of plotman's state, {p2.settings['farm']['state']}, {hangs}",
            f"The folder of the plots' logs, {p2.settings['logging']['plots']}, {hangs}",
            timeout_s=60,
        )
        eventually(lambda: not machines.jobs("p1") and not watch.at_home(), "p1's plot is on its drive", 60)
        assert len(machines.jobs("p2")) == 1
    finally:
        p2.host.freeze(OWN, False)
        for file in litter:
            file.unlink()
    delivered(machines, watch, before + 2)


def test_redis_has_no_memory_and_is_replaced_by_another_make_and_back(
    machines: Machines, watch: Watch
) -> None:
    """Valkey reads what Redis 7 wrote. Redis 7 does not start with what Valkey 9 wrote: it begins empty."""
    before = len(watch.known())
    for name in machines.plotters:
        machines.more(name, 1)
        running(machines, name)
    with machines.redis() as client:
        client.config_set("maxmemory", 1)
        eventually(lambda: len(watch.known()) == before + 2, "the plots are made", 60)
        said(machines, "Redis' memory is full, so that it refuses writes")
        client.config_set("maxmemory", 0)
    delivered(machines, watch, before + 2)
    redis = redis_server()
    assert redis is not None
    program = machines.folder / "redis-server"  # what it does depends on its name
    program.symlink_to(redis)
    for each in (program, None):
        machines.more("p1", 1)
        ((task_id, _),) = running(machines, "p1").items()
        machines.kill_broker()
        machines.start_broker(empty=each is not None, program=each)
        machines.all_there()
        eventually(lambda task_id=task_id: machines.succeeded(task_id), "it ends under the same task", 60)
    delivered(machines, watch, before + 4)


@pytest.fixture(scope="module")
def next_version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with a plotman of another version."""
    folder = tmp_path_factory.mktemp("next")
    file = installed.clone(folder / "source") / "pyproject.toml"
    text = re.sub(r'^version = ".*"', 'version = "99.0"', file.read_text(), count=1, flags=re.MULTILINE)
    file.write_text(text)
    installed.install(installed.build(file.parent, folder, "--wheel"), folder / "env")
    return folder / "env" / "bin" / "python"


def test_each_process_is_upgraded_while_plots_are_made_and_sent_and_then_each_is_downgraded(
    machines: Machines, watch: Watch, slow: None, next_version: Path
) -> None:
    """One after the other, in one order and back in the other."""
    before, begun = len(watch.known()), starts(machines, "p1")
    hub, p1, h1 = machines.schedulers[HUB], machines.plotters["p1"], machines.harvesters["h1"]
    machines.more("p1", None)
    for version, order in ((next_version, (h1, p1, hub)), (None, (hub, p1, h1))):
        for machine in order:
            running(machines, "p1")
            sending(machines, "p1", 0.2)
            machine.python = version
            restart(machines, machine)
            assert ("99.0" in machine.run("version")) == (version is not None)
    machines.more("p1", 0)
    eventually(lambda: not machines.jobs("p1"), "all come to their end", 60)
    full_speed(machines)
    made = starts(machines, "p1") - begun
    delivered(machines, watch, before + made)


def test_other_programs_have_the_pids_of_plots_that_ended_unseen(machines: Machines, watch: Watch) -> None:
    """The last test: p1 pauses after these two failures."""
    before = len(watch.known())
    p1, hub = machines.plotters["p1"], machines.schedulers[HUB]
    machines.more("p1", 2)
    jobs = running(machines, "p1", 2)
    pids = sorted((job.pid for job in jobs.values()), reverse=True)  # those above are free
    for pid in pids:
        p1.host.kill(pid, signal.SIGSTOP)  # they must not be done before
    p1.down()
    for pid in pids:
        p1.host.kill(pid)
    eventually(
        lambda: not p1.host.call("ps", "-o", "pid=", "-p", ",".join(map(str, pids)), check=False), "died"
    )
    settings = [f"{name}={value}" for name, value in machines.environment.items()]
    p1.host.run_as(pids[0], "sleep", 1000)

    def state() -> str:
        shown = p1.host.call("ps", "-o", "args=", "-p", pids[1], check=False)
        return "is a plotter" if "python" in shown else "" if shown else "ended"

    for _ in range(3):  # it has ended at once at times, for a reason that no run has shown yet
        log = p1.host.run_as(pids[1], "env", *settings, *by_hand(machines.chia, p1.tmp[0], p1.dst))
        if eventually(state, "the plotter is loaded, or ended") == "is a plotter":
            break
        warnings.warn(f"a plotter ended at once: {log.read_text(encoding='utf-8')}", stacklevel=1)
    else:
        pytest.fail("each of the plotters ended at once: see the warnings")
    p1.host.kill(pids[1], signal.SIGSTOP)
    p1.up()

    def by_hand_only() -> bool:
        found = {job.pid: job for job in machines.jobs("p1")}
        return list(found) == [pids[1]] and found[pids[1]].task_id not in jobs and not found[pids[1]].ours

    eventually(by_hand_only, "only the plotter started by hand is a job", 60)
    for task_id in jobs:
        eventually(
            lambda task_id=task_id: machines.result(task_id).get("status") == "FAILURE", "end found", 30
        )
    for job in jobs.values():
        assert f"No plot {(job.plot_id or '')[:8]} is running" in hub.run(
            "kill", (job.plot_id or "")[:8], "--yes"
        )
    for pid in pids:
        p1.host.kill(pid, 0)  # both live
    p1.host.kill(pids[0])
    p1.host.kill(pids[1], signal.SIGCONT)
    delivered(machines, watch, before + 1)
