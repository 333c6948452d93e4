"""Runs a target's transfer script, and finds transfers that already run: of an earlier archiver, of plotman
0.5.3, or started by hand."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from common.errors import TransferFailed
from common.worker.move_step import StepInterrupted, Stop
from common.worker.pool import StopReason
from plotter_worker.archiving.targets.definition import cannot_run
from plotter_worker.archiving.transfer.progress import Reader, TransferProgress, read_line
from plotter_worker.processes import session

# Environment variable of each transfer script that an archiver starts; its value is the archiver's owner.
MARK = "PLOTMAN_TARGET_TRANSFER"
_POLL_S = 0.1  # delay until its end, or a stop, is noticed
_GRACE_S = 5.0
_CHUNK_BYTES = 1 << 16
_TAIL_BYTES = 16 << 10


@dataclass(frozen=True, slots=True)
class Ended:
    """How a script ended. code: negative for a signal. last_lines: of its output, without progress. log: the
    file with its whole output."""

    code: int
    last_lines: tuple[str, ...]
    log: Path
    took_s: float


@dataclass(frozen=True, slots=True)
class Script:
    """One run. owner: value of MARK, by which a later archiver finds the process.

    log_dir: directory of the transfers' logs (logging.transfers); created if missing.
    """

    program: Path
    environment: Mapping[str, str]
    log_dir: Path
    owner: str

    def run(self, report: Callable[[TransferProgress], None], stop: Stop) -> Ended:
        """Run the script to its end.

        It has its own session and log file, and keeps running when this process ends, as with 0.5.3: a copy
        that cannot be resumed must not start again because the archiver restarts. `running` finds it then.
        Only an operator who terminates the task ends it.

        Raises:
            TransferFailed: It cannot be run, or was terminated.
            StepInterrupted: The worker shuts down.
        """
        begun_s = time.monotonic()
        log = _log_file(self.log_dir)
        with log.open("wb") as output:
            try:
                process = subprocess.Popen(
                    [self.program],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**self.environment, MARK: self.owner},
                    start_new_session=True,
                )
            except OSError as error:
                what, cure = cannot_run(self.program, error)
                raise TransferFailed(f"transfer script {what}.", cure) from error
        with contextlib.closing(_LogReader(log, report)) as reader:
            while process.poll() is None:
                if stop.is_set():
                    _stopped(process, stop)
                reader.read()
                time.sleep(_POLL_S)
            reader.read()
            return Ended(process.returncode, reader.last_lines(), log, time.monotonic() - begun_s)


def _log_file(folder: Path) -> Path:
    """Create a log file with 0.5.3's name: the time, with `_` instead of `:`. Raises TransferFailed."""
    now = datetime.now(UTC).astimezone()
    name = now.isoformat(timespec="microseconds").replace(":", "_")
    log = folder / f"{name}.transfer.log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        log.touch(exist_ok=False)
    except OSError as error:
        raise TransferFailed(
            f"{log} cannot be written ({error.strerror}).", "Correct logging.transfers."
        ) from error
    return log


class _LogReader:
    """Reads a growing log: reports progress, and keeps the last other lines."""

    def __init__(self, log: Path, report: Callable[[TransferProgress], None]) -> None:
        self._file = log.open("rb")
        self._report = report
        self._reader = Reader()
        self._tail = b""

    def read(self) -> None:
        while chunk := self._file.read(_CHUNK_BYTES):
            self._tail = (self._tail + chunk)[-_TAIL_BYTES:]
            for parsed in self._reader.feed(chunk):
                if isinstance(parsed, TransferProgress):
                    self._report(parsed)

    def close(self) -> None:
        self._file.close()

    def last_lines(self) -> tuple[str, ...]:
        lines = self._tail.replace(b"\r", b"\n").split(b"\n")
        texts = (line.decode("utf-8", "replace").strip() for line in lines if not read_line(line))
        return tuple(text for text in texts if text)


def _stopped(process: subprocess.Popen[bytes], stop: Stop) -> None:
    """End the script, or leave it running if only this worker shuts down. Raises StepInterrupted or
    TransferFailed."""
    if getattr(stop, "reason", None) is StopReason.SHUTDOWN:
        raise StepInterrupted
    _end(process)
    raise TransferFailed("an operator terminated the transfer.", "The source is kept, and sent again later.")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the whole session: the script, and all that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        deadline_s = time.monotonic() + _GRACE_S
        while time.monotonic() < deadline_s:
            process.poll()  # else it stays a zombie
            if not session.lives(process.pid):
                return
            time.sleep(_POLL_S)


def running(process_name: str, argument_prefix: str, owner: str) -> list[psutil.Process]:
    """Find transfers that are not children of this process: by name and argument, as 0.5.3 did, and by the
    mark of an earlier archiver of this owner.

    Args:
        argument_prefix: Beginning of one of its arguments. An empty one would match every argument, so it
            matches none.
        owner: Value of MARK.
    """
    own = {child.pid for child in psutil.Process().children(recursive=True)}
    return [
        process
        for process in psutil.process_iter(["name"])
        if process.pid not in own
        and (_is_known(process, process_name, argument_prefix) or _is_marked(process, owner))
    ]


def first_running(processes: list[psutil.Process]) -> str | None:
    """Name the first process that still runs: "rsync (pid 4711)"; None if all have ended."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                return f"{process.name()} (pid {process.pid})"
    return None


def _is_known(process: psutil.Process, name: str, prefix: str) -> bool:
    if process.info["name"] != name or not prefix:
        return False
    return any(argument.startswith(prefix) for argument in _arguments(process))


def _arguments(process: psutil.Process) -> Iterator[str]:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        yield from process.cmdline()


def _is_marked(process: psutil.Process, owner: str) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied, OSError):
        if process.uids().real == os.getuid():
            return bool(process.environ().get(MARK) == owner)
    return False
