"""Finds all plotters on this machine, of plotman or not, and the scratch files in a host's directories."""

from __future__ import annotations

import os
import pwd
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import psutil

from common.system.openfile import is_open_elsewhere, open_regular
from common.system.plotfile import NotAPlot, Verdict, expected_size_bytes, read_header, whole
from common.system.probe import LOOK_DEADLINE_S, Hanging, Probe
from plotter_worker.leftovers.rules import Evidence, File, LivePlotter, scratch_of
from plotter_worker.plotters.base import CommandLine, Mode
from plotter_worker.plotters.plotter import Plotter
from plotter_worker.plotters.registry import recognise

_PROC = Path("/proc")
_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_LOG_BYTES = 64 << 20  # far more than any plotter's log
_probe = Probe()


class Watched(NamedTuple):
    """A job that is watched and has not ended: name of its plotter, and plot ids in its log."""

    plotter: str
    plot_ids: frozenset[str]


def gather(jobs: Mapping[int, Watched]) -> Evidence:
    """Find plotters that run or are suspended. jobs: by pid."""
    plotters: dict[int, LivePlotter] = {}
    recognised: set[int] = set()
    wrappers: set[int] = set()
    open_names: set[str] = set()
    hidden = _processes_are_hidden()
    for pid in psutil.pids():
        try:
            raw = (_PROC / str(pid) / "cmdline").read_bytes()
        except PermissionError:
            hidden = True
            continue
        except OSError:
            continue  # it has ended
        names = _open_names(pid)
        open_names |= {name for name in names if name.endswith(".tmp") or _PARTIAL in name}
        argv = [part.decode(errors="surrogateescape") for part in raw.rstrip(b"\0").split(b"\0")]
        cwd = _cwd(pid)
        found = recognise(argv, cwd) if raw else None
        if found is None:
            continue
        recognised.add(pid)
        known = jobs[pid].plot_ids if pid in jobs else ()
        with suppress(OSError, psutil.Error):
            plotters[pid] = _live_plotter(pid, *found, argv, {*_ids(names), *known})
            if found[1].wrapper:
                wrappers.add(pid)
    for pid in wrappers:
        if _children(pid) & plotters.keys():
            del plotters[pid]  # its child is the plotter
    for pid in jobs.keys() - recognised:
        # Not recognised, as the package of its plotter is broken or no longer installed. Its directories are
        # unknown: each scratch file that has changed since its start may be its own.
        with suppress(OSError, psutil.Error):
            plotters[pid] = _unrecognised(pid, jobs[pid])
    own = os.geteuid()
    return Evidence(tuple(plotters.values()), frozenset(open_names), own if hidden and own != 0 else None)


def _live_plotter(
    pid: int, plotter: Plotter, command: CommandLine, argv: list[str], ids: set[str]
) -> LivePlotter:
    """Raises OSError or psutil.Error if the process has ended."""
    process = psutil.Process(pid)
    if not ids:
        ids = _ids_in_log(pid, plotter, command)
    return LivePlotter(
        pid=pid,
        plotter=plotter.name,
        user=user_name((_PROC / str(pid)).stat().st_uid),
        started_at_s=process.create_time(),
        plot_ids=frozenset(ids),
        only_these=command.n == 1 and bool(ids) and not command.wrapper,
        directory_ids=_directories(command, argv),
    )


def _unrecognised(pid: int, job: Watched) -> LivePlotter:
    """Raises OSError or psutil.Error if the process has ended."""
    return LivePlotter(
        pid=pid,
        plotter=job.plotter,
        user=user_name((_PROC / str(pid)).stat().st_uid),
        started_at_s=psutil.Process(pid).create_time(),
        plot_ids=job.plot_ids.union(_ids(_open_names(pid))),
    )


def _directories(command: CommandLine, argv: list[str]) -> frozenset[str] | None:
    """Directories of a command line; None if one of them is unknown."""
    needed = [command.dst]
    if command.mode is Mode.GPU:
        return None  # Gigahorse: -3 is not parsed, and an absent directory may be memory or tmp
    if command.mode not in (Mode.RAM, Mode.CUDA):
        needed += [command.tmp, command.tmp2]
    if None in needed:
        return None
    # bladebit accepts several directories for its plots.
    words = [word for word in argv[1:] if word.startswith("/")]
    found = {directory_id(path) for path in needed if path is not None}
    if None in found:
        return None
    return frozenset(one for one in (*found, *map(directory_id, words)) if one is not None)


def directory_id(path: str) -> str | None:
    """Identify a directory by device and inode; None if it does not exist, or its drive does not answer."""

    def read() -> str | None:
        status = Path(path).stat()
        return f"{status.st_dev}:{status.st_ino}"

    try:
        return _probe.run(path, read, LOOK_DEADLINE_S)
    except (OSError, Hanging):
        return None


def _ids_in_log(pid: int, plotter: Plotter, command: CommandLine) -> set[str]:
    """Read plot ids from a process's log, if its stdout is a readable file."""
    try:
        link = _PROC / str(pid) / "fd" / "1"
        if not link.is_file():
            return set()
        with open_regular(link) as log:
            reader = plotter.reader(command)
            reader.feed(log.read(_LOG_BYTES))
    except OSError:
        return set()
    progress = reader.progress
    ids = (progress.plot_id, *(plot.plot_id for plot in progress.plots_done))
    return {plot_id for plot_id in ids if plot_id is not None}


def _open_names(pid: int) -> list[str]:
    """Names, without directories, of the files that a process has open; empty if they are not visible."""
    names = []
    with suppress(OSError):
        for link in (_PROC / str(pid) / "fd").iterdir():
            with suppress(OSError):
                names.append(os.readlink(link).rpartition("/")[2].removesuffix(" (deleted)"))  # noqa: PTH115
    return names


def _ids(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        if name.startswith("plot-") and (match := _ID.search(name)):
            yield match[0]


def _cwd(pid: int) -> str | None:
    try:
        return str((_PROC / str(pid) / "cwd").readlink())
    except OSError:
        return None


def _children(pid: int) -> set[int]:
    try:
        return {child.pid for child in psutil.Process(pid).children(recursive=True)}
    except psutil.Error:
        return set()


def _processes_are_hidden() -> bool:
    """Whether /proc shows each user only its own processes (proc(5), hidepid)."""
    try:
        table = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return True
    options = [
        line.rpartition(" ")[2]
        for line in table.splitlines()
        if line.split(" ")[4] == "/proc" and " - proc " in line
    ]
    return not options or re.search(r"\bhidepid=(?!0|off)", options[-1]) is not None


def user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


# bladebit makes thousands of files, and its disk is busy.
_LIST_S = 60.0
# File systems that other machines may write to.
_NETWORK = (
    "nfs", "cifs", "smb", "9p", "ceph", "gluster", "lustre",
    "afs", "ocfs", "gfs2", "virtiofs", "beegfs",
)  # fmt: skip
_NETWORK_FUSE = ("sshfs", "gluster", "rclone", "s3fs", "ceph", "davfs", "curlftpfs", "smbnetfs", "moosefs")
# Endings of a plot's last file, which becomes the plot by renaming. xchplot2's may have six letters more.
_FINAL = (".plot.tmp", ".plot.2.tmp")
_PARTIAL = ".partial"


def list_scratch(folders: Iterable[str]) -> tuple[list[File], list[str]]:
    """List scratch files. A directory with two paths is listed once.

    Returns:
        The files, and a sentence for each directory that could not be read.
    """
    found: list[File] = []
    troubles: list[str] = []
    seen: set[str] = set()
    for folder in dict.fromkeys(folders):
        identity = directory_id(folder)
        if identity is None:
            troubles.append(f"{folder} does not exist, or its drive does not answer")
        elif identity not in seen:
            seen.add(identity)
            try:
                found += _probe.run(folder, partial(_list, folder, identity), _LIST_S)
            except (OSError, Hanging) as error:
                troubles.append(f"{folder}: {error}")
    return found, troubles


def _list(folder: str, identity: str) -> list[File]:
    network = shared_file_system(folder)
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if scratch_of(entry.name) is None:
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:
                continue  # deleted since it was listed
            if stat.S_ISREG(status.st_mode):
                found.append(_file(folder, identity, entry.name, status, network))
    return found


def _file(folder: str, identity: str, name: str, status: os.stat_result, network: str | None) -> File:
    path = Path(folder, name)
    return File(
        folder=folder,
        directory_id=identity,
        name=name,
        inode=status.st_ino,
        size_bytes=status.st_size,
        allocated_bytes=status.st_blocks * 512,
        mtime_ns=status.st_mtime_ns,
        uid=status.st_uid,
        owner=user_name(status.st_uid),
        network=network,
        open=is_open(path),
        whole=(name.endswith(_FINAL) or _PARTIAL in name) and _is_whole(path, status.st_size),
    )


def is_open(path: Path) -> bool | None:
    try:
        return is_open_elsewhere(path)
    except OSError:
        return None  # not readable for this user


def _is_whole(path: Path, size_bytes: int) -> bool:
    """Whether the file is a complete plot, as far as its format says."""
    try:
        header = read_header(path)
        expected = expected_size_bytes(header)
        if expected is not None:
            return size_bytes >= expected  # kept also if it is damaged
        return whole(path, header).verdict is Verdict.COMPLETE
    except (OSError, NotAPlot):
        return False


def shared_file_system(folder: str) -> str | None:
    """Type of the file system if other machines may write there, too; None: local."""
    device = Path(folder).stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    table = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    for line in table.splitlines():
        if line.split(" ")[2] == number:
            kind = line.partition(" - ")[2].split(" ")[0]
            inner = kind.removeprefix("fuse.")
            if kind.startswith(_NETWORK) or (inner != kind and inner.startswith(_NETWORK_FUSE)):
                return kind
    return None
