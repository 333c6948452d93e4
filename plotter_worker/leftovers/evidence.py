"""Which plotters run on this machine, whoever started them, and which scratch files are open. Reads /proc."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from common.system.probe import LOOK_DEADLINE_S, Hanging, Probe
from plotter_worker.leftovers.rules import Evidence, Live
from plotter_worker.plotters.base import CommandLine, Mode, Plotter
from plotter_worker.plotters.registry import recognise

_PROC = Path("/proc")
_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_LOG_BYTES = 64 << 20  # far above any plotter's log
_probe = Probe()


def gather(known_ids: Mapping[int, Iterable[str]]) -> Evidence:
    """All plotters that run or are suspended now. known_ids: pid -> plots that its log tells of."""
    lives: dict[int, Live] = {}
    wrappers: set[int] = set()
    open_names: set[str] = set()
    blind = _processes_are_hidden()
    for pid in psutil.pids():
        try:
            raw = (_PROC / str(pid) / "cmdline").read_bytes()
        except PermissionError:
            blind = True
            continue
        except OSError:
            continue  # it has ended
        names = _open_names(pid)
        open_names |= {name for name in names if name.endswith(".tmp")}
        argv = [part.decode(errors="surrogateescape") for part in raw.rstrip(b"\0").split(b"\0")]
        cwd = _cwd(pid)
        found = recognise(argv, cwd) if raw else None
        if found is None:
            continue
        with suppress(OSError, psutil.Error):
            lives[pid] = _live(pid, *found, argv, {*_ids(names), *known_ids.get(pid, ())})
            if found[1].wrapper:
                wrappers.add(pid)
    for pid in wrappers:
        if _children(pid) & lives.keys():
            del lives[pid]  # its child is the plotter
    own = os.geteuid()
    return Evidence(tuple(lives.values()), frozenset(open_names), own if blind and own != 0 else None)


def _live(pid: int, plotter: Plotter, command: CommandLine, argv: list[str], ids: set[str]) -> Live:
    """Raises OSError and psutil.Error when it has ended."""
    process = psutil.Process(pid)
    if not ids:
        ids = _ids_in_log(pid, plotter, command)
    return Live(
        pid=pid,
        plotter=plotter.name,
        user=user_name((_PROC / str(pid)).stat().st_uid),
        started_at_s=process.create_time(),
        plot_ids=frozenset(ids),
        only_these=command.n == 1 and bool(ids) and not command.wrapper,
        places=_places(command, argv),
    )


def _places(command: CommandLine, argv: list[str]) -> frozenset[str] | None:
    """All directories that its command line names; None where one of them is not known."""
    needed = [command.dst]
    if command.mode is Mode.GPU:
        return None  # Gigahorse: -3 is not read, and what is left out may be memory or the tmp directory
    if command.mode not in (Mode.RAM, Mode.CUDA):
        needed += [command.tmp, command.tmp2]
    if None in needed:
        return None
    # bladebit takes several directories for its plots.
    words = [word for word in argv[1:] if word.startswith("/")]
    places = {place(path) for path in needed if path is not None}
    if None in places:
        return None
    return frozenset(found for found in (*places, *map(place, words)) if found is not None)


def place(path: str) -> str | None:
    """Names a directory by what it is rather than by the path that leads there; None where there is none, or
    its drive does not answer."""

    def look() -> str | None:
        status = Path(path).stat()
        return f"{status.st_dev}:{status.st_ino}"

    try:
        return _probe.run(path, look, LOOK_DEADLINE_S)
    except (OSError, Hanging):
        return None


def _ids_in_log(pid: int, plotter: Plotter, command: CommandLine) -> set[str]:
    """Plots that its log tells of, where its stdout is a file that may be read."""
    try:
        link = _PROC / str(pid) / "fd" / "1"
        if not link.is_file():
            return set()
        with link.open("rb") as log:
            reader = plotter.reader(command)
            reader.feed(log.read(_LOG_BYTES))
    except OSError:
        return set()
    progress = reader.progress
    told = (progress.plot_id, *(plot.plot_id for plot in progress.plots_done))
    return {plot_id for plot_id in told if plot_id is not None}


def _open_names(pid: int) -> list[str]:
    """File names, without directories, of what a process has open; none where that may not be seen."""
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
