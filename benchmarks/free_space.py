"""How long it takes to ask a harvester for the free space of its drives.

    python -m benchmarks.free_space [--quick] [--drives 4,200] [--rounds 60]

By the task harvester_worker.free_space, sent and its answer awaited through Celery and Redis; and as 0.5.3
does: `df` over ssh, connecting anew each time, or over a connection that ssh keeps (ControlMaster). All on
one machine, one after the other in each round. Each drive is a file system of its own, which takes root; they
are mounted where nobody else sees them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks.farm import Farm, up
from benchmarks.figures import Report
from common import names
from common.names import Role, queue
from tests.support.ssh import Sshd, missing

_MOUNTS_OF_OUR_OWN = "PLOTMAN_BENCH_MOUNTS"
_PER_ROUND = 10  # questions to plotman, and over the kept connection, for each that connects anew


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="3 rounds")
    parser.add_argument("--drives", default="4,200")
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    if os.environ.get(_MOUNTS_OF_OUR_OWN) is None:
        _again_with_mounts_of_our_own()
    rounds = 3 if options.quick else options.rounds
    if lacks := missing():
        raise SystemExit(f"This benchmark needs {lacks} (Debian's openssh-client and openssh-server).")
    report = Report("free_space", "How long the question for free space takes, answer included")
    report.note(
        "plotman: state and room of each drive looked at anew, its folder listed again where a name came or "
        "went; reserved bytes and more come along. The drives are mounted and empty (tmpfs)."
    )
    report.note("ssh: `df -aBK`, as 0.5.3 asks. Its sshd runs here, so that no network is in it.")
    for drives in map(int, options.drives.split(",")):
        with tempfile.TemporaryDirectory(prefix="plotman-bench-") as folder:
            measure(report, Path(folder), drives, rounds)
    report.show()
    report.save(keep=options.quick)


def _again_with_mounts_of_our_own() -> None:
    """Start this benchmark once more, with a mount table that ends with it."""
    if os.geteuid() != 0:
        raise SystemExit("This benchmark mounts drives: run it as root.")
    argv = ["unshare", "--mount", sys.executable, "-m", "benchmarks.free_space", *sys.argv[1:]]
    os.execvpe(argv[0], argv, os.environ | {_MOUNTS_OF_OUR_OWN: "1"})


def _mount(drive: Path) -> None:
    drive.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "drive", drive], check=True)


def measure(report: Report, folder: Path, drives: int, rounds: int) -> None:
    with ExitStack() as stack:
        for number in range(drives):
            drive = folder / "farm" / f"{number:03}"
            _mount(drive)
            stack.callback(subprocess.run, ["umount", "--lazy", drive], check=True)
        _measure(report, folder, drives, rounds)


def _measure(report: Report, folder: Path, drives: int, rounds: int) -> None:
    harvester = {"drives": [str(folder / "farm" / "*")], "proofs": 0}
    sshd = QuietSshd(folder / "ssh")
    (folder / "ssh").mkdir()
    sshd.start()
    try:
        with up(folder, harvester=harvester) as farm:
            ask = _by_celery(farm, drives)
            cold = _by_ssh(sshd)
            kept = _by_ssh(sshd, *_keep(folder))
            for question in (ask, cold, kept):
                timed_ms(question)  # what is loaded and opened once
            figures: dict[str, list[float]] = {"plotman": [], "ssh": [], "ssh, ControlMaster": []}
            for _ in range(rounds):
                figures["plotman"] += [timed_ms(ask) for _ in range(_PER_ROUND)]
                figures["ssh"].append(timed_ms(cold))
                figures["ssh, ControlMaster"] += [timed_ms(kept) for _ in range(_PER_ROUND)]
            for subject, values in figures.items():
                report.add(subject, f"{drives} drives", "ms", values)
            subprocess.run(
                [sshd.bin / "ssh", *_keep(folder), "-O", "exit", sshd.login], check=False, capture_output=True
            )
    finally:
        sshd.stop()


class QuietSshd(Sshd):
    """Its shell reads no ~/.bashrc, which on many machines takes longer than all the rest."""

    def _write_server(self) -> None:
        super()._write_server()
        with (self.folder / "sshd_config").open("a", encoding="utf-8") as file:
            file.write(f"SetEnv HOME={self.folder}\n")


def _keep(folder: Path) -> tuple[str, ...]:
    options = ("ControlMaster=auto", f"ControlPath={folder}/ssh/kept", "ControlPersist=600")
    return tuple(word for option in options for word in ("-o", option))


def _by_celery(farm: Farm, drives: int) -> Callable[[], None]:
    app = farm.client()

    def ask() -> None:
        where = queue(Role.HARVESTER, farm.host)
        answer = app.send_task(names.FREE_SPACE, kwargs={"host": farm.host}, queue=where).get(timeout=30)
        assert len(answer) == drives, answer

    return ask


def _by_ssh(sshd: Sshd, *options: str) -> Callable[[], None]:
    argv = [sshd.bin / "ssh", *options, sshd.login, "df -aBK | grep ' /' | awk '{ print $6 \":\" $4 }'"]

    def ask() -> None:
        subprocess.run(argv, stdout=subprocess.DEVNULL, env=os.environ, check=True)

    return ask


def timed_ms(question: Callable[[], None]) -> float:
    began = time.perf_counter()
    question()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
