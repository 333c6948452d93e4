"""Runs one rsync as a child process: its command line, its exit codes, and those that a killed archiver left
running. Needs rsync 3.2.4 or newer (--fsync)."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import selectors
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO

import psutil

from common.errors import TransferFailed
from common.model.units import human_bytes, human_duration
from common.system.marked import rsyncs_of
from common.system.openfile import position_in
from common.worker.move_step import StepInterrupted, Stop
from common.worker.pool import StopReason
from plotter_worker.archiving.transfer.progress import Done, Reader, TransferProgress

log = logging.getLogger(__name__)

# Longest time without data or a keep-alive; the receiver sends keep-alives during its fsync. On one machine
# no connection can break, but a drive may be slow to spin up.
LOCAL_TIMEOUT_S = 600
NETWORK_TIMEOUT_S = 60
# Environment variable of each rsync that an archiver starts; its value is the archiver's owner.
MARK = "PLOTMAN_TRANSFER"
_POLL_S = 0.2  # delay until a stop is noticed
_GRACE_S = 5.0
_STDERR_BYTES = 16 << 10
_HANGS_S = LOCAL_TIMEOUT_S + 60.0  # rsync exits earlier by itself, unless it is blocked by a drive
_PULSE_S = 5.0
# A harvester must take a plot faster than SLOWEST_BYTES_S (5 days for k32), measured over STALE_S, and flush
# it within FLUSH_S: it could hold the archiver for ever by keep-alives else.
SLOWEST_BYTES_S = 250_000.0
STALE_S = 900.0
FLUSH_S = 3600.0


# rsync keeps the format to itself: the other side cannot print a line with its first word.
_OUT_FORMAT = "--out-format="


def command(source: str, target: str, options: Sequence[str] = (), rsync: str = "rsync") -> list[str]:
    """Build the argv that sends `source` to the part file `target`; a second run resumes the first.

    --append-verify: a resume compares what both sides have, sends the rest, and corrects differences.
    --fsync: without it a power cut can leave a part of full size full of zeros.
    No option may delete the source.
    """
    return [
        rsync,
        "--append-verify",
        "--fsync",
        "--outbuf=L",
        "--no-h",  # else bytes are written with commas
        "--info=progress2",
        f"{_OUT_FORMAT}{secrets.token_hex(16)} %n %l %b %C",
        *options,
        "--",
        source,
        target,
    ]


# rsync(1), EXIT VALUES, with the observed causes.
_MEANING = {
    1: ("rsync does not know an option", "Install rsync 3.2.4 or newer."),
    2: ("the two rsyncs do not understand each other", "Install the same version on both machines."),
    3: ("source or destination is missing", "Check that both drives are mounted."),
    5: ("the harvester refused the password", "It is tried again; if that fails, see the harvester's log."),
    4: (
        "the harvester's receiver refuses an option",
        "Install the same version of plotman on both machines.",
    ),
    10: ("the connection broke, or nothing listens there", "It resumes where it stopped."),
    11: ("writing failed: the drive is full or failing", "Check dmesg, and the drive's free space."),
    12: ("the receiving rsync ended early", "Check dmesg, and whether memory ran out."),
    13: ("rsync had trouble with its diagnostics", "It resumes where it stopped."),
    14: ("the two rsyncs lost each other", "It resumes where it stopped."),
    20: ("rsync was stopped by a signal", "It resumes where it stopped."),
    22: ("rsync got no memory", "Free memory on both machines."),
    23: ("the source could not be read, or the destination not written", "Check both drives."),
    24: ("the source disappeared during the transfer", "Find the program that moves plots besides plotman."),
    30: ("no data moved for too long", "Check whether one of the drives hangs."),
    35: ("the harvester does not answer", "Check its network, its firewall, harvester.receiver_address."),
    255: ("ssh cannot connect", "Try it as the user who runs plotman: ssh -o BatchMode=yes USER@HOST true"),
}


# By chance rsync notices that ssh has closed the pipe before it sees ssh's own exit code, which is 255.
_PIPE_CLOSED = 12
_BEFORE_THE_FIRST_BYTE = ("(0 bytes received so far)", "safe_write failed")


def failure(code: int, stderr: str, over_ssh: bool = False) -> TransferFailed:
    """Explain an exit code other than 0.

    Args:
        code: Negative for a signal.
        stderr: rsync's; its first line says most.
        over_ssh: Whether ssh was its way to the other machine.
    """
    if over_ssh and code == _PIPE_CLOSED and any(words in stderr for words in _BEFORE_THE_FIRST_BYTE):
        code = 255
    lines = (line.strip(" @") for line in stderr.splitlines())  # ssh frames its warnings with @
    first = next((line for line in lines if line), "")
    detail = f": {first}" if first else ""
    if code < 0:
        return TransferFailed(f"rsync was killed by signal {-code}{detail}.", "It resumes where it stopped.")
    what, cure = _MEANING.get(code, ("rsync failed", "Check both drives."))
    return TransferFailed(f"{what} (rsync {code}){detail}.", cure)


@dataclass(frozen=True, slots=True)
class Sent:
    """A successful transfer. digest: None if the part was full before, and nothing was sent."""

    digest: str | None
    sent_bytes: int
    took_s: float


def run(
    argv: Sequence[str],
    report: Callable[[TransferProgress], None],
    stop: Stop,
    owner: str = "",
    started: Callable[[int], None] = lambda _: None,
    environment: Mapping[str, str] = MappingProxyType({}),
    slowest: Callable[[], float] = lambda: SLOWEST_BYTES_S,
) -> Sent:
    """Run rsync to its end.

    Unlike a plotter it ends with this process: the next run resumes where it stopped. It has a session of its
    own, so that a Ctrl-C in a terminal does not reach it directly.

    Args:
        argv: As `transfer.rsync.command` builds it.
        owner: Value of MARK, for `end_orphans`.
        started: Called with its pid.
        environment: Additional variables.
        slowest: Bytes a second below which the transfer is ended.

    Raises:
        TransferFailed: rsync failed, comes no further, or was terminated by an operator.
        StepInterrupted: `stop` was set for another reason.
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
        pulse = _Pulse(rsync.pid, Path(argv[-2]), slowest)
        done, stderr = _read_pipes(rsync, Reader(_mark(argv)), report, stop, pulse)
        code = rsync.wait()
    finally:
        _end(rsync)
    if code != 0:
        over_ssh = any(option.startswith("--rsh=") for option in argv)
        raise failure(code, stderr.decode("utf-8", "replace"), over_ssh)
    took_s = time.monotonic() - begun_s
    return Sent(done.digest, done.sent_bytes, took_s) if done else Sent(None, 0, took_s)


def _mark(argv: Sequence[str]) -> str | None:
    """First word of the output format of a command line."""
    formats = (word.removeprefix(_OUT_FORMAT) for word in argv if word.startswith(_OUT_FORMAT))
    return next((each.partition(" ")[0] for each in formats), None)


def _read_pipes(
    rsync: subprocess.Popen[bytes],
    reader: Reader,
    report: Callable[[TransferProgress], None],
    stop: Stop,
    pulse: _Pulse,
) -> tuple[Done | None, bytes]:
    """Read both pipes until rsync closes them. Returns its last line, if it sent anything, and its stderr."""
    assert rsync.stdout is not None
    assert rsync.stderr is not None
    done, stderr = None, b""
    with selectors.DefaultSelector() as pipes:
        pipes.register(rsync.stdout, selectors.EVENT_READ)
        pipes.register(rsync.stderr, selectors.EVENT_READ)
        while pipes.get_map():
            if stop.is_set():
                raise why_stopped(stop)
            pulse.check()
            for key, _ in pipes.select(_POLL_S):
                chunk = os.read(key.fd, 1 << 16)
                if not chunk:
                    pipes.unregister(key.fileobj)
                if key.fileobj is rsync.stderr:
                    stderr = (stderr + chunk)[:_STDERR_BYTES]
                    continue
                for parsed in reader.feed(chunk) if chunk else reader.close():
                    if isinstance(parsed, Done):
                        done = parsed
                    else:
                        report(parsed)
    return done, stderr


def why_stopped(stop: Stop) -> Exception:
    """After an operator's Terminate the move fails and pauses; after a shutdown it is resumed at once."""
    if getattr(stop, "reason", None) is StopReason.TERMINATED:
        return TransferFailed(
            "an operator terminated the transfer.", "It resumes where it stopped, after a pause."
        )
    return StepInterrupted()


class _Pulse:
    """Checks that rsync still reads or writes, and comes further in the source.

    It may print nothing for long while a resume reads both files. What it prints, and what it reads from the
    network, may come from a harvester that only pretends to take the plot; how far it has read the source
    does not.
    """

    def __init__(self, pid: int, source: Path, slowest: Callable[[], float]) -> None:
        self._process = psutil.Process(pid)
        self._name, self._slowest = source.name, slowest
        self._size_bytes = None
        with contextlib.suppress(OSError):  # rsync says why
            self._size_bytes = source.stat().st_size
        self._next_s = self._moved_s = self._passed_s = time.monotonic()
        self._moved_bytes = -1
        self._passed_bytes = 0
        self._opened = self._read_whole = False

    def check(self) -> None:
        """Raises TransferFailed if it has neither read nor written for `_HANGS_S`, or comes no further."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + min(_PULSE_S, STALE_S / 4)
        self._must_come_further(now_s)
        try:
            counters = self._process.io_counters()
        except psutil.Error:
            return  # it has just ended; its pipes close next
        moved_bytes = counters.read_chars + counters.write_chars
        if moved_bytes != self._moved_bytes:
            self._moved_bytes, self._moved_s = moved_bytes, now_s
        elif now_s - self._moved_s > _HANGS_S:
            raise TransferFailed(
                f"rsync has neither read nor written for {human_duration(_HANGS_S)}: a drive hangs.",
                "See dmesg on this machine.",
            )

    def _must_come_further(self, now_s: float) -> None:
        found_bytes = position_in(self._process.pid, self._name)
        self._opened = self._opened or found_bytes is not None
        whole = self._opened and found_bytes in (None, self._size_bytes)  # at its end it closes the source
        at_bytes = found_bytes or 0
        step_bytes = self._slowest() * STALE_S
        if (whole and not self._read_whole) or at_bytes - self._passed_bytes >= step_bytes:
            self._passed_s, self._passed_bytes, self._read_whole = now_s, at_bytes, whole
        limit_s = FLUSH_S if self._read_whole else STALE_S
        if now_s - self._passed_s > limit_s:
            what = "is not flushed" if self._read_whole else f"came no further than {human_bytes(at_bytes)}"
            raise TransferFailed(
                f"{self._name} {what} within {human_duration(limit_s)}.",
                "Check the network, and the drive of the harvester. It resumes where it stopped.",
            )


def _end(rsync: subprocess.Popen[bytes]) -> None:
    """End rsync if it still runs, and close its pipes."""
    if rsync.poll() is None:
        rsync.terminate()
        try:
            rsync.wait(timeout=_GRACE_S)
        except subprocess.TimeoutExpired:
            rsync.kill()
            # A process that waits for a hung drive cannot be killed; to wait for it would block other plots.
            with contextlib.suppress(subprocess.TimeoutExpired):
                rsync.wait(timeout=_GRACE_S)
    for pipe in (rsync.stdout, rsync.stderr):
        _close(pipe)


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        pipe.close()


def end_orphans(owner: str) -> int:
    """End every rsync that an earlier archiver of this owner started; returns their number.

    Called before the first transfer: nobody reads the result of such an rsync. What it sent is kept, and the
    next transfer resumes there.
    """
    orphans = rsyncs_of(owner, MARK)
    for process in orphans:
        _signal(process, kill=False)
    _, stubborn = psutil.wait_procs(orphans, timeout=_GRACE_S)
    for process in stubborn:
        _signal(process, kill=True)
    if orphans:
        log.info("ended %d rsync of an earlier archiver", len(orphans), extra={"action": "strays-ended"})
    return len(orphans)


def _signal(process: psutil.Process, kill: bool) -> None:
    try:
        process.kill() if kill else process.terminate()
    except psutil.NoSuchProcess:
        return
