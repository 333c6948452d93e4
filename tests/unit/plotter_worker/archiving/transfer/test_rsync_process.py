"""Running rsync as a child: real rsync where its behaviour matters, a script where its end does."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from common.errors import TransferFailed
from common.system.openfile import is_open_for_writing
from common.worker.move_step import StepInterrupted, never
from common.worker.pool import StopEvent, StopReason
from plotter_worker.archiving.transfer import rsync as rsync_module
from plotter_worker.archiving.transfer.progress import TransferProgress
from plotter_worker.archiving.transfer.rsync import MARK, _end, _Pulse, command, end_orphans, run
from tests.support.waiting import eventually

needs_rsync = pytest.mark.skipif(
    shutil.which("rsync") is None and not os.environ.get("CI"), reason="rsync is not installed"
)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    source, part = tmp_path / "source", tmp_path / "part"
    source.write_bytes(os.urandom(8 << 20))
    part.touch()
    return source, part


@needs_rsync
def test_a_file_is_sent_with_progress_and_a_digest(files: tuple[Path, Path]) -> None:
    source, part = files
    told: list[TransferProgress] = []

    sessions: list[bool] = []

    def started(pid: int) -> None:
        sessions.append(os.getsid(pid) == pid)

    sent = run(command(str(source), str(part)), told.append, never, started=started)

    assert sessions == [True], "Ctrl-C does not reach it"
    assert part.read_bytes() == source.read_bytes()
    assert sent.digest
    assert sent.sent_bytes > 8 << 20
    assert told[-1].done_bytes == 8 << 20


class Stuck:
    """A process that not even a kill ends, for it waits for a drive."""

    stdout = stderr = None

    def __init__(self) -> None:
        self.killed = False

    def poll(self) -> None:
        return None

    def terminate(self) -> None:
        pass

    def kill(self) -> None:
        self.killed = True

    def wait(self, timeout: float | None = None) -> int:
        if timeout is None:
            pytest.fail("waits for ever")
        raise subprocess.TimeoutExpired("rsync", timeout)


def test_an_rsync_blocked_by_its_drive_is_abandoned() -> None:
    rsync = Stuck()

    _end(rsync)  # type: ignore[arg-type]

    assert rsync.killed


@needs_rsync
def test_a_terminated_transfer_fails_so_that_it_pauses(files: tuple[Path, Path]) -> None:
    source, part = files
    stop = StopEvent()

    with pytest.raises(TransferFailed, match="an operator terminated the transfer"):
        run(
            command(str(source), str(part), ("--bwlimit=1024",)),
            lambda _: stop.set(StopReason.TERMINATED),
            stop,
        )


@needs_rsync
def test_an_rsync_without_io_is_ended(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    source, part = files
    pids: list[int] = []
    monkeypatch.setattr("plotter_worker.archiving.transfer.rsync._PULSE_S", 0.1)
    monkeypatch.setattr("plotter_worker.archiving.transfer.rsync._HANGS_S", 1)
    monkeypatch.setattr("plotter_worker.archiving.transfer.rsync._GRACE_S", 0.2)

    def freeze(_: TransferProgress) -> None:
        os.kill(pids[0], signal.SIGSTOP)  # as a drive that hangs would

    with pytest.raises(TransferFailed, match="neither read nor written for 1s"):
        run(command(str(source), str(part), ("--bwlimit=1024",)), freeze, never, started=pids.append)

    assert not psutil.pid_exists(pids[0])


@needs_rsync
def test_only_a_process_without_io_for_long_counts_as_blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plotter_worker.archiving.transfer.rsync._PULSE_S", 0)
    monkeypatch.setattr("plotter_worker.archiving.transfer.rsync._HANGS_S", 1)
    busy = subprocess.Popen(["cat", "/dev/zero"], stdout=subprocess.DEVNULL)
    idle = subprocess.Popen(["sleep", "60"])
    try:
        pulse, begun_s = _Pulse(busy.pid, Path("none"), lambda: 0), time.monotonic()
        while time.monotonic() < begun_s + 1.5:
            pulse.check()
        pulse, begun_s = _Pulse(idle.pid, Path("none"), lambda: 0), time.monotonic()
        with pytest.raises(TransferFailed, match="a drive hangs"):
            eventually(pulse.check, "it counts as blocked", 10)
        assert time.monotonic() > begun_s + 1
    finally:
        for process in (busy, idle):
            process.kill()
            process.wait()


def test_a_full_part_gets_no_digest(files: tuple[Path, Path]) -> None:
    source, part = files
    run(command(str(source), str(part)), lambda _: None, never)

    assert run(command(str(source), str(part)), lambda _: None, never).digest is None


@needs_rsync
def test_a_missing_source_fails_with_rsyncs_message(files: tuple[Path, Path]) -> None:
    source, part = files
    source.unlink()

    with pytest.raises(TransferFailed, match=r"rsync 23.*No such file"):
        run(command(str(source), str(part)), lambda _: None, never)


@needs_rsync
def test_a_stopped_transfer_leaves_no_rsync_and_resumes_later(files: tuple[Path, Path]) -> None:
    source, part = files
    slow = command(str(source), str(part), ("--bwlimit=1024",))
    stop = StopEvent()
    seen = threading.Event()

    def stop_when_begun(progress: TransferProgress) -> None:
        seen.set()
        stop.set(StopReason.SHUTDOWN)

    begun_s = time.monotonic()
    with pytest.raises(StepInterrupted):
        run(slow, stop_when_begun, stop)

    assert seen.is_set()
    assert time.monotonic() - begun_s < 6  # the whole would take 8 s
    assert str(part) not in subprocess.check_output(["ps", "-ef"], text=True)
    assert 0 < part.stat().st_size < source.stat().st_size
    run(command(str(source), str(part)), lambda _: None, never)
    assert part.read_bytes() == source.read_bytes()


def test_a_machine_without_rsync_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(TransferFailed, match="Install rsync"):
        run([str(tmp_path / "no-rsync")], lambda _: None, never)


def test_much_stderr_does_not_block_the_child(tmp_path: Path) -> None:
    progress = "  1000  20%  181.09MB/s    0:00:04  "
    script = f"import sys; sys.stderr.write('rsync: oh no\\n{progress}\\n' * 100_000); sys.exit(11)"
    told: list[TransferProgress] = []

    with pytest.raises(TransferFailed, match=r"rsync 11.*oh no"):
        run(["python3", "-c", script], told.append, never)
    assert told == []


# Tests that run at the same time have rsyncs as well.
US = f"us {os.getpid()}"


@needs_rsync
def test_only_transfers_of_a_killed_archiver_are_ended(files: tuple[Path, Path], tmp_path: Path) -> None:
    source, part = files
    slow = command(str(source), str(part), ("--bwlimit=256",))
    script = (
        "import sys; from common.worker.move_step import never;"
        "from plotter_worker.archiving.transfer.rsync import run;"
        "run(sys.argv[2:], lambda _: print('begun', flush=True), never, sys.argv[1])"
    )
    with subprocess.Popen([sys.executable, "-c", script, US, *slow], stdout=subprocess.PIPE) as archiver:
        assert archiver.stdout is not None
        assert archiver.stdout.readline() == b"begun\n"
        archiver.kill()

    assert end_orphans("others") == 0
    assert end_orphans(US) >= 1
    assert end_orphans(US) == 0
    assert not is_open_for_writing(part)


def test_only_rsyncs_of_this_owner_are_ended_also_if_they_ignore_sigterm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plotter_worker.archiving.transfer.rsync._GRACE_S", 0.3)
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    started: list[subprocess.Popen[bytes]] = []
    for name, owner in (("rsync", US), ("rsync", "others"), ("sends", US)):
        program = tmp_path / owner / name
        program.parent.mkdir(exist_ok=True)
        program.symlink_to(sys.executable)
        env = {**os.environ, MARK: owner}
        started.append(subprocess.Popen([program, "-c", deaf], stdout=subprocess.PIPE, env=env))
    try:
        for process in started:
            assert process.stdout is not None
            process.stdout.readline()
        assert end_orphans(US) == 1
        assert started[0].wait(10) == -signal.SIGKILL
        assert [process.poll() for process in started[1:]] == [None, None]
        assert end_orphans(US) == 0
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_an_orphan_gets_time_to_end_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[bool] = []
    real = rsync_module._signal
    monkeypatch.setattr(
        rsync_module, "_signal", lambda process, kill: killed.append(kill) or real(process, kill)
    )
    program = tmp_path / "rsync"
    shutil.copy(shutil.which("sleep") or "", program)
    with subprocess.Popen([program, "60"], env={MARK: US}) as process:
        eventually(psutil.Process(process.pid).environ, "it is started")
        assert end_orphans(US) == 1
    assert killed == [False]


SIZE_BYTES = 50_000_000
STEP_BYTES = int(1000 * rsync_module.STALE_S)  # at 1000 bytes a second
# Seconds after the last step, and how far rsync has read the source; None: it does not have it open.
Steps = list[tuple[float, int | None]]
READS, FLUSHES = "came no further", "is not flushed"


@pytest.mark.parametrize(
    ("steps", "stalls"),
    [
        pytest.param([(901, None)], READS, id="it never opens the source"),
        pytest.param([(800, None), (99, 0), (2, STEP_BYTES - 1)], READS, id="it opens it late"),
        pytest.param([(899, STEP_BYTES), (899, 2 * STEP_BYTES)], None, id="as slow as it may be"),
        pytest.param([(899, STEP_BYTES - 1), (2, STEP_BYTES - 1)], READS, id="slower"),
        pytest.param([(899, STEP_BYTES), (899, 2 * STEP_BYTES - 1), (2, 0)], READS, id="slower later"),
        pytest.param([(899, SIZE_BYTES), (3599, SIZE_BYTES)], None, id="the harvester flushes"),
        pytest.param([(899, SIZE_BYTES), (1800, SIZE_BYTES), (1801, SIZE_BYTES)], FLUSHES, id="for too long"),
        pytest.param([(899, STEP_BYTES), (10, None), (3599, None)], None, id="it has closed the source"),
        pytest.param([(899, STEP_BYTES), (10, None), (3601, None)], FLUSHES, id="and flushes for too long"),
        pytest.param([(9, SIZE_BYTES), (9, STEP_BYTES), (9, SIZE_BYTES + STEP_BYTES), (901, 0)], READS,
                     id="the source has grown"),
    ],
)  # fmt: skip
def test_an_rsync_must_come_further_in_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: Steps, stalls: str | None
) -> None:
    source = tmp_path / "source"
    with source.open("wb") as file:
        file.truncate(SIZE_BYTES)
    pulse = _Pulse(os.getpid(), source, lambda: 1000)
    now_s, last = pulse._passed_s, len(steps) - 1
    for number, (after_s, at_bytes) in enumerate(steps):
        now_s += after_s
        monkeypatch.setattr(rsync_module, "position_in", lambda *_, at_bytes=at_bytes: at_bytes)
        if number == last and stalls is not None:
            with pytest.raises(TransferFailed, match=stalls):
                pulse._must_come_further(now_s)
        else:
            pulse._must_come_further(now_s)


def test_how_far_it_is_is_asked_every_few_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s, asked = [time.monotonic()], []
    monkeypatch.setattr(rsync_module.time, "monotonic", lambda: now_s[0])
    pulse = _Pulse(os.getpid(), tmp_path / "none", lambda: 1000)
    monkeypatch.setattr(pulse, "_must_come_further", asked.append)
    for after_s in (0, 4, 2):
        now_s[0] += after_s
        pulse.check()
    assert len(asked) == 2
