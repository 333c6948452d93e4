"""Runs one rsync as our child and says how it goes and how it ended."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import IO

import psutil

from common.errors import TransferFailed
from common.model.units import human_duration
from common.worker.move_step import StepInterrupted, Stop
from common.worker.pool import StopReason
from plotter_worker.archiving.transfer.orphans import MARK
from plotter_worker.archiving.transfer.progress import Done, Reader, TransferProgress
from plotter_worker.archiving.transfer.rsync import LOCAL_TIMEOUT_S, failure

_POLL_S = 0.2  # how soon a stop is noticed
_GRACE_S = 5.0
_COMPLAINT_BYTES = 16 << 10
_HANGS_S = LOCAL_TIMEOUT_S + 60.0  # rsync itself gives up before that, unless a drive keeps it from running
_LOOK_S = 5.0


@dataclass(frozen=True, slots=True)
class Sent:
    """A transfer that ended well. digest: None where the part was full already and nothing was sent."""

    digest: str | None
    sent_bytes: int
    took_s: float


def run(
    argv: Sequence[str],
    tell: Callable[[TransferProgress], None],
    stop: Stop,
    owner: str = "",
    started: Callable[[int], None] = lambda _: None,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Sent:
    """Run rsync to its end. tell: called with each progress line, about once a second.

    Stopping it is cheap: the next run goes on where it ended. Therefore it does not outlive us, as plotters
    do; in a session of its own it ends when we say so, not with a Ctrl-C that everybody hears.
    owner: marks the process for `end_strays`, should we be killed. started: called with its pid.
    environment: variables beside our own.
    Raises TransferFailed with the cause, also where it hangs with a drive or a person ended it; LetGo when
    `stop` was set for another reason.
    """
    begun_s = time.monotonic()
    try:
        rsync = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **environment, MARK: owner},
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise TransferFailed(f"{argv[0]} is not installed.", "Install rsync 3.2.4 or newer.") from error
    try:
        started(rsync.pid)
        done, complaint = _follow(rsync, tell, stop)
        code = rsync.wait()
    finally:
        _end(rsync)
    if code != 0:
        raise failure(code, complaint.decode("utf-8", "replace"))
    took_s = time.monotonic() - begun_s
    return Sent(done.digest, done.sent_bytes, took_s) if done else Sent(None, 0, took_s)


def _follow(
    rsync: subprocess.Popen[bytes], tell: Callable[[TransferProgress], None], stop: Stop
) -> tuple[Done | None, bytes]:
    """Read both pipes until rsync closes them: what it sent, and what it complained of."""
    assert rsync.stdout is not None
    assert rsync.stderr is not None
    reader, done, complaint, pulse = Reader(), None, b"", _Pulse(rsync.pid)
    with selectors.DefaultSelector() as pipes:
        pipes.register(rsync.stdout, selectors.EVENT_READ)
        pipes.register(rsync.stderr, selectors.EVENT_READ)
        while pipes.get_map():
            if stop.is_set():
                raise _why_stopped(stop)
            pulse.feel()
            for key, _ in pipes.select(_POLL_S):
                chunk = os.read(key.fd, 1 << 16)
                if not chunk:
                    pipes.unregister(key.fileobj)
                if key.fileobj is rsync.stderr:
                    complaint = (complaint + chunk)[:_COMPLAINT_BYTES]
                    continue
                for news in reader.feed(chunk) if chunk else reader.close():
                    if isinstance(news, Done):
                        done = news
                    else:
                        tell(news)
    return done, complaint


def _why_stopped(stop: Stop) -> Exception:
    """A worker that leaves has the transfer go on elsewhere at once; a person does not."""
    if getattr(stop, "reason", None) is StopReason.TERMINATED:
        return TransferFailed(
            "somebody terminated the transfer.", "It goes on where it ended, after a pause."
        )
    return StepInterrupted()


class _Pulse:
    """Whether rsync still reads or writes anything. It may say nothing for long while it reads what is there
    already; but the signs of life that the two ends send each other are read, too."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._next_look_s = self._moved_s = time.monotonic()
        self._moved_bytes = -1

    def feel(self) -> None:
        """Raises TransferFailed where it has not moved for `_HANGS_S`."""
        now_s = time.monotonic()
        if now_s < self._next_look_s:
            return
        self._next_look_s = now_s + _LOOK_S
        try:
            counters = self._process.io_counters()
        except psutil.Error:
            return  # it has just ended, which its pipes tell
        moved_bytes = counters.read_chars + counters.write_chars
        if moved_bytes != self._moved_bytes:
            self._moved_bytes, self._moved_s = moved_bytes, now_s
        elif now_s - self._moved_s > _HANGS_S:
            raise TransferFailed(
                f"rsync has neither read nor written for {human_duration(_HANGS_S)}: it hangs with a drive.",
                "See dmesg on this machine.",
            )


def _end(rsync: subprocess.Popen[bytes]) -> None:
    """Leave no rsync behind, whatever made us stop."""
    if rsync.poll() is None:
        rsync.terminate()
        try:
            rsync.wait(timeout=_GRACE_S)
        except subprocess.TimeoutExpired:
            rsync.kill()
            # One that hangs with its drive ends when that is back; who waits for it sends no other plot.
            with contextlib.suppress(subprocess.TimeoutExpired):
                rsync.wait(timeout=_GRACE_S)
    for pipe in (rsync.stdout, rsync.stderr):
        _close(pipe)


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        pipe.close()
