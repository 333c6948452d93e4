"""Checks this machine against plotman.yaml, for `plotman config check`: probes drives, runs programs and
contacts the broker, each with a deadline."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from common.config import programs
from common.config.drives import drives, is_sure, names, use_of
from common.config.farm import Harvester
from common.config.lint import doubts
from common.config.loader import Reading
from common.config.model import Config
from common.config.problems import Found, Level, Problem
from common.config.programs import PROVE, UNPROVEN, cannot_prove
from common.config.targets import target_lacks
from common.errors import BrokerError
from common.model.redis_url import masked
from common.model.snapshot import DirState, DriveUse
from common.store.server import reach
from common.system.machine import pip_install
from common.system.probe import LOOK_DEADLINE_S, DirReport, Hanging, Probe

Location = tuple[str | int, ...]

_BROKER_DEADLINE_S = 4.0
_WRITE = "Give it to the user who runs plotman, and check that it is not mounted read-only."


def find_problems(path: Path, reading: Reading) -> list[Problem]:
    """What this machine lacks for a configuration, by line. Keys that have errors themselves are left out.

    Args:
        path: of the file.
        reading: its content.
    """
    config = reading.readable
    if config is None:
        return []
    probe = Probe()
    try:
        found = [
            *((doubt.location, doubt.what, doubt.cure, Level.WARNING) for doubt in doubts(config)),
            *_plotter_folders(config, probe),
            *_drives(config, probe),
            *_logs(config),
            *_open_secret(path, config),
            *_programs(config),
            *target_lacks(config.archiving),
            *_broker(config, probe),
            *_libraries(config),
        ]
    finally:
        probe.close()
    problems = [
        Problem(path, what, cure, ".".join(map(str, location)), reading.document.line(location), level)
        for location, what, cure, level in found
    ]
    # The default that replaces a wrong value is not the owner's choice.
    wrong = {problem.key for problem in reading.problems if problem.level is Level.ERROR}
    problems = [problem for problem in problems if problem.key not in wrong]
    return sorted(problems, key=lambda problem: problem.line or 0)


def _plotter_folders(config: Config, probe: Probe) -> Iterator[Found]:
    if config.directories is None:
        return
    named: list[tuple[Location, str]] = [
        *((("directories", "tmp", i), folder) for i, folder in enumerate(config.directories.tmp)),
        *((("directories", "dst", i), folder) for i, folder in enumerate(config.directories.dst or ())),
    ]
    if config.directories.tmp2:
        named.append((("directories", "tmp2"), config.directories.tmp2))
    seen = probe.look_all(folder for _, folder in named)
    yield from _twice(named, seen)
    system = str(os.stat("/").st_dev)  # noqa: PTH116
    for location, folder in named:
        yield from _state(location, folder, seen[folder])
        if _looks_dropped(folder, seen[folder], system):
            yield (
                location,
                f"{folder} is on the system drive",
                "Mount the drive that belongs there, if it has one.",
                Level.WARNING,
            )


def _twice(named: list[tuple[Location, str]], seen: dict[str, DirReport]) -> Iterator[Found]:
    """Find two names of one folder (a link): its limits would count twice."""
    first: dict[tuple[object, int, int], str] = {}
    for location, folder in named:
        status = seen[folder].status
        if status is None:
            continue
        other = first.setdefault((location[1], status.st_dev, status.st_ino), folder)
        if other != folder:
            yield location, f"{folder} is the same folder as {other}", "Keep one of the two.", Level.WARNING


def _looks_dropped(folder: str, seen: DirReport, system: str) -> bool:
    """Whether a folder below a usual place for drives is on the same file system as /."""
    major, _, minor = (seen.device or "").partition(":")
    if seen.state is not DirState.OK or not folder.startswith(("/mnt/", "/media/", "/run/media/")):
        return False
    return str(os.makedev(int(major), int(minor))) == system


def _drives(config: Config, probe: Probe) -> Iterator[Found]:
    if config.harvester is None:
        return
    where: Location = ("harvester", "drives")
    try:
        # Each pattern may touch a drive that hangs, so one probe thread expands all.
        folders = probe.run(Path("/"), lambda: drives(config), 2 * LOOK_DEADLINE_S)
    except Hanging:
        yield where, "the search for drives hangs", "Find the drive that does not answer.", Level.ERROR
        return
    section = config.harvester
    looked_at = [folder for folder in folders if use_of(section, folder) is not DriveUse.DISABLED]
    seen = probe.look_all(looked_at, must_be_mounted=not section.plain_folders)
    yield from _farmed_by_link(config, seen, probe)
    absent = {
        folder
        for folder, report in seen.items()
        if report.state is DirState.MISSING and not is_sure(section, folder)
    }
    folders = tuple(folder for folder in folders if folder not in absent)
    if not folders:
        yield where, "no folder matches", "Correct the pattern, or mount the drives.", Level.ERROR
    yield from _named_for_nothing(section, folders)
    for folder in folders:
        if folder not in seen:
            continue
        index = section.drives.index(folder) if folder in section.drives else None
        yield from _state(where if index is None else (*where, index), folder, seen[folder])


def _farmed_by_link(config: Config, drives_seen: dict[str, DirReport], probe: Probe) -> Iterator[Found]:
    """Find finished plots on a farming drive, if a link or mount makes two paths one folder."""
    if config.directories is None or config.archiving is None:
        return
    finished = config.directories.finished
    plots_seen = probe.look_all(finished)
    for folder in finished:
        for drive, report in drives_seen.items():
            mine, farmed = plots_seen[folder].status, report.status
            if folder != drive and mine and farmed and os.path.samestat(mine, farmed):
                what = f"{drive} is the same folder as {folder}: finished plots would be moved away from it"
                yield ("harvester", "drives"), what, "Name another folder.", Level.ERROR


def _named_for_nothing(section: Harvester, folders: tuple[str, ...]) -> Iterator[Found]:
    """Find misspelt drives, which plotman would continue to use."""
    for key in ("draining", "disabled"):
        for index, pattern in enumerate(getattr(section, key)):
            if not any(names([pattern], folder) for folder in folders):
                where: Location = ("harvester", key, index)
                what = f"{pattern} is none of the existing drives"
                yield where, what, "Correct it, unless that drive is unplugged.", Level.WARNING


def _state(location: Location, folder: str, seen: DirReport) -> Iterator[Found]:
    if seen.state is DirState.OK and seen.total_bytes == 0:
        yield location, f"{folder} is on a file system without files", "Write another folder.", Level.ERROR
        return
    if seen.state is DirState.MISSING and os.path.exists(folder):  # noqa: PTH110  it answered just now
        yield location, f"{folder} is not a folder", "Write a folder here.", Level.ERROR
        return
    what, cure = {
        DirState.OK: ("", ""),
        DirState.UNKNOWN: ("", ""),
        DirState.MISSING: (f"{folder} does not exist", "Mount its drive, or make the folder."),
        DirState.NOT_MOUNTED: (
            f"{folder} is not mounted",
            "Mount its drive, or write plain_folders: true if there is none.",
        ),
        DirState.READ_ONLY: (f"{folder} is not writable", _WRITE),
        DirState.HANGING: (f"{folder} does not answer", "Check its drive and cable, and dmesg."),
    }[seen.state]
    if seen.state is DirState.MISSING and folder != folder.strip():
        cure = "Remove the blank at the end of its name."
    if what:
        yield location, what, cure, Level.ERROR


def _logs(config: Config) -> Iterator[Found]:
    """Check that the folders for logs and state exist or can be made."""
    wanted: list[tuple[Location, Path]] = [(("farm", "state"), config.state_dir)]
    if config.plotting:
        wanted.append((("logging", "plots"), config.plots_log_dir))
    if config.archiving:
        wanted.append((("logging", "transfers"), Path(config.logging.transfers)))
        wanted.append((("logging", "disk_spaces"), Path(config.logging.disk_spaces).parent))
    for location, folder in wanted:
        nearest = next(above for above in (folder, *folder.parents) if os.path.exists(above))  # noqa: PTH110
        if not nearest.is_dir():
            yield location, f"{nearest} is a file", "Write a folder here.", Level.ERROR
        elif not os.access(nearest, os.W_OK | os.X_OK):
            yield location, f"{nearest} is not writable", _WRITE, Level.ERROR


def _open_secret(path: Path, config: Config) -> Iterator[Found]:
    url = config.broker_url
    targets = config.notifications.targets.values()
    secret: dict[Location, object] = {
        ("farm", "broker"): url is not None and masked(url) != url,
        ("farm", "flower_auth"): config.farm.flower_auth,
        ("notifications", "targets"): any(target.url for target in targets),
    }
    key = next((key for key, holds in secret.items() if holds), None)
    if key is not None and path.stat().st_mode & 0o077:
        what = "contains a password, and other users of this machine may read the file"
        yield key, what, f"Run: chmod 600 {path}", Level.WARNING


def _libraries(config: Config) -> Iterator[Found]:
    if config.harvester is None:
        return
    if config.harvester.receiver_tls and find_spec("cryptography") is None:
        what = "needs the library cryptography, which is not installed: no plot could arrive"
        yield ("harvester", "receiver_tls"), what, f"Install it: {pip_install('tls')}", Level.ERROR
    if cannot_prove(config.harvester):
        yield ("harvester", "proofs"), UNPROVEN, PROVE, Level.WARNING


def _programs(config: Config) -> Iterator[Found]:
    for program in programs.wanted(config):
        trouble = programs.trouble(program)
        if trouble:
            yield trouble.location, trouble.what, trouble.cure, trouble.level
    for name, target in config.notifications.targets.items():
        if target.command and shutil.which(target.command[0]) is None:
            where: Location = ("notifications", "targets", name, "command")
            yield (
                where,
                "its program does not exist or is not executable",
                "Write its full path.",
                Level.ERROR,
            )


def _broker(config: Config, probe: Probe) -> Iterator[Found]:
    url = config.broker_url
    if url is None:
        return
    where: Location = ("farm", "broker")
    try:
        # In a probe thread, because socket timeouts do not limit the name look-up.
        probe.run("farm.broker", lambda: reach(url, _BROKER_DEADLINE_S / 3), _BROKER_DEADLINE_S)
    except Hanging:
        what = f"its server did not answer within {_BROKER_DEADLINE_S:g} s"
        yield where, what, "Start it, or correct this key. Check that its name resolves.", Level.WARNING
    except BrokerError as error:
        yield where, error.what, error.cure, Level.WARNING
