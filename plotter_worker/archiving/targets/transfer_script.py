"""Runs a target's transfer script, follows what it writes, and says how it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from common.errors import TransferFailed
from common.worker.move_step import StepInterrupted, Stop
from common.worker.pool import StopReason
from plotter_worker.archiving.targets.programs import cannot_run
from plotter_worker.archiving.targets.running_transfers import MARK
from plotter_worker.archiving.transfer.progress import Reader, TransferProgress, read_line
from plotter_worker.processes import session

_POLL_S = 0.1  # how soon its end, and a stop, are noticed
_GRACE_S = 5.0
_CHUNK_BYTES = 1 << 16
_WORDS_BYTES = 16 << 10


@dataclass(frozen=True, slots=True)
class Ended:
    """How a script ended. code: negative for a signal. said: its last words, progress left out.
    log: the file with all of them."""

    code: int
    said: tuple[str, ...]
    log: Path
    took_s: float


@dataclass(frozen=True, slots=True)
class Script:
    """What to run. owner: marks the process, so that an archiver that comes later knows it.

    log_dir: folder of the transfers' logs (logging.transfers); made where it is missing.
    """

    program: Path
    environment: Mapping[str, str]
    log_dir: Path
    owner: str

    def run(self, tell: Callable[[TransferProgress], None], stop: Stop) -> Ended:
        """Run it to its end. tell: called with each progress line of an rsync in it.

        It has a session of its own and writes to a file, and so outlives us, as it did with 0.5.3: a copy
        that cannot be resumed must not begin anew because we are restarted. Whoever comes back finds it
        running. Only a person who terminates the task ends it.
        Raises TransferFailed where it cannot be run or was terminated, LetGo when this worker leaves.
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
        with contextlib.closing(_Follower(log, tell)) as follower:
            while process.poll() is None:
                if stop.is_set():
                    _stopped(process, stop)
                follower.read()
                time.sleep(_POLL_S)
            follower.read()
            return Ended(process.returncode, follower.words(), log, time.monotonic() - begun_s)


def _log_file(folder: Path) -> Path:
    """A new file, named as 0.5.3 named them: the time, with `_` for `:`. Raises TransferFailed."""
    now = datetime.now(UTC).astimezone()
    name = now.isoformat(timespec="microseconds").replace(":", "_")
    log = folder / f"{name}.transfer.log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        log.touch(exist_ok=False)
    except OSError as error:
        raise TransferFailed(
            f"{log} cannot be written ({error.strerror}).", "Mend logging.transfers: a folder of our own."
        ) from error
    return log


class _Follower:
    """Reads a growing log: progress is told on, the other lines are kept, the last of them."""

    def __init__(self, log: Path, tell: Callable[[TransferProgress], None]) -> None:
        self._file = log.open("rb")
        self._tell = tell
        self._reader = Reader()
        self._tail = b""

    def read(self) -> None:
        while chunk := self._file.read(_CHUNK_BYTES):
            self._tail = (self._tail + chunk)[-_WORDS_BYTES:]
            for news in self._reader.feed(chunk):
                if isinstance(news, TransferProgress):
                    self._tell(news)

    def close(self) -> None:
        self._file.close()

    def words(self) -> tuple[str, ...]:
        """What it said beside its progress, the last lines of it."""
        lines = self._tail.replace(b"\r", b"\n").split(b"\n")
        said = (line.decode("utf-8", "replace").strip() for line in lines if not read_line(line))
        return tuple(line for line in said if line)


def _stopped(process: subprocess.Popen[bytes], stop: Stop) -> None:
    """Leave it running where only we leave. Raises LetGo, or TransferFailed where it was ended."""
    if getattr(stop, "reason", None) is StopReason.SHUTDOWN:
        raise StepInterrupted
    _end(process)
    raise TransferFailed("somebody terminated the transfer.", "The source is kept; it will be tried again.")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the whole session, what the script started as well: a person wants the work itself stopped."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        deadline_s = time.monotonic() + _GRACE_S
        while time.monotonic() < deadline_s:
            process.poll()  # else it stays a zombie
            if not session.lives(process.pid):
                return
            time.sleep(_POLL_S)
