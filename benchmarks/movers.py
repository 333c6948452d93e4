"""Plots to move, and the bare tools that move them."""

from __future__ import annotations

import os
import secrets
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.machine import until

GIB = 2**30
_BLOCK = os.urandom(1 << 24)
# Of those that were tried these were the fastest that flush: docs/performance.md.
BEST = ("--whole-file", "--inplace", "--fsync")
RESUMING = ("--append-verify", "--fsync")
# What 0.5.3 passes by default, where it is not held to 80 MB/s.
FORMER = ("--preallocate", "--remove-source-files", "--skip-compress", "plot", "--whole-file")


@dataclass(frozen=True)
class Took:
    """cpu_s: of all processes that had a part in it."""

    seconds: float
    cpu_s: float


def write_plot(folder: Path, size_bytes: int) -> Path:
    """A file with a plot's name and header, on the drive and not in memory: what moves it has to read it."""
    plot_id = secrets.token_bytes(32)
    head = b"Proof of Space Plot" + plot_id + struct.pack(">BH", 32, 4) + b"v1.0" + struct.pack(">H", 0)
    head += struct.pack(">10Q", *range(1, 11))
    path = folder / f"plot-k32-2026-11-22-12-00-{plot_id.hex()}.plot"
    with path.open("wb") as file:
        file.write(head)
        left = size_bytes - len(head)
        while left > 0:
            left -= file.write(_BLOCK[: min(left, len(_BLOCK))])
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    # Its header tells no size, so that it counts as whole once nobody has written to it for a while.
    long_ago_s = time.time() - 3600
    os.utime(path, (long_ago_s, long_ago_s))
    return path


def flush(path: Path) -> None:
    """File and directory, so that both would outlive a power cut."""
    for each in (path, path.parent):
        fd = os.open(each, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def copy(source: Path, folder: Path) -> Took:
    return _timed(["cp", str(source), str(folder)], folder / source.name)


def rsync(options: Sequence[str], source: Path, folder: Path) -> Took:
    return _timed(["rsync", *options, str(source), f"{folder}/"], folder / source.name)


def _timed(argv: list[str], target: Path) -> Took:
    """Run it, flush what it made."""
    began, before = time.perf_counter(), os.times()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    flush(target)
    after = os.times()
    cpu_s = (after.children_user + after.children_system) - (before.children_user + before.children_system)
    return Took(time.perf_counter() - began, cpu_s)


class Daemon:
    """An rsyncd on the loopback that takes whatever comes into `folder`."""

    def __init__(self, pid: int, port: int, folder: Path) -> None:
        self._process = psutil.Process(pid)
        self._folder = folder
        self._url = f"rsync://127.0.0.1:{port}/in/"

    def argv(self, options: Sequence[str], source: Path, drive: str = "") -> list[str]:
        return ["rsync", *options, str(source), self._url + (f"{drive}/" if drive else "")]

    def send(self, options: Sequence[str], source: Path) -> Took:
        before = self._used_s()
        took = _timed(self.argv(options, source), self._folder / source.name)
        # The server's process ends a moment after the client's, and is counted then.
        time.sleep(0.2)
        return Took(took.seconds, took.cpu_s + self._used_s() - before)

    def _used_s(self) -> float:
        times = self._process.cpu_times()
        return times.user + times.system + times.children_user + times.children_system


@contextmanager
def daemon(folder: Path, at: Path) -> Iterator[Daemon]:
    """at: where its configuration lies."""
    from tests.support.ports import free_port

    at.mkdir()
    config, port = at / "rsyncd.conf", free_port()
    config.write_text(
        f"use chroot = no\nreverse lookup = no\nlog file = {at}/log\npid file = {at}/pid\n"
        f"[in]\npath = {folder}\nread only = no\nuid = {os.getuid()}\ngid = {os.getgid()}\n",
        encoding="utf-8",
    )
    argv = [
        "rsync", "--daemon", "--no-detach", "--address=127.0.0.1", f"--port={port}", f"--config={config}",
    ]  # fmt: skip
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        until((at / "pid").exists, "rsyncd runs")
        time.sleep(0.2)
        yield Daemon(process.pid, port, folder)
    finally:
        process.terminate()
        process.wait()


def written_bytes(clients: Callable[[], Iterator[psutil.Process]], done: Callable[[], bool]) -> int:
    """What these rsyncs have sent, all together, until `done()`: they are looked at all the time, since what
    they did ends with them."""
    seen: dict[int, int] = {}
    while not done():
        for client in clients():
            try:
                seen[client.pid] = max(seen.get(client.pid, 0), client.io_counters().write_chars)
            except psutil.Error:
                continue
        time.sleep(0.005)
    return sum(seen.values())


def empty(folder: Path) -> None:
    """Remove what lies in it, and in the folders in it."""
    for path in folder.iterdir():
        if path.is_dir():
            empty(path)
        else:
            path.unlink()
