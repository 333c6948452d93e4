"""Checks this machine against plotman.yaml, for `plotman config check`: probes drives, runs programs and
contacts the broker, each with a deadline."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from common.config.check.lint import doubts
from common.config.check.memory import memory_lacks
from common.config.check.programs import missing_libraries, missing_programs, target_lacks
from common.config.loader import Reading
from common.config.model import Config
from common.config.problems import Finding, Level, Location, Problem
from common.config.sections.farm import Harvester, names
from common.errors import BrokerError
from common.model.address import masked
from common.model.snapshot import DirState, DriveUse
from common.store.server import reach
from common.system.chia_service import FULL_NODE, HARVESTER, ChiaSilent
from common.system.chia_service import reach as reach_chia
from common.system.probe import LOOK_DEADLINE_S, DirReport, Hanging, Probe

_BROKER_DEADLINE_S = 4.0
_CHIA_DEADLINE_S = 4.0
_WRITE = "Give it to the user who runs plotman, and check that it is not mounted read-only."


def find_problems(path: Path, reading: Reading) -> list[Problem]:
    """What this machine lacks for the configuration in `reading` of the file at `path`, by line. Keys that
    have errors themselves are left out."""
    config = reading.readable
    if config is None:
        return []
    probe = Probe()
    try:
        found = [
            *doubts(config),
            *_plotter_folders(config, probe),
            *_drives(config, probe),
            *_logs(config),
            *_open_secret(path, config),
            *(_foreign(path) if reading.foreign else (*missing_programs(config), *memory_lacks(config))),
            *target_lacks(config.archiving),
            *_broker(config, probe),
            *_chia(config, probe),
            *missing_libraries(config),
        ]
    finally:
        probe.close()
    # The default that replaces a wrong value is not the owner's choice.
    wrong = {problem.key for problem in reading.problems if problem.level is Level.ERROR}
    problems = [
        Problem(path, one.what, one.cure, one.key, reading.document.line(one.location), one.level)
        for one in found
        if one.key not in wrong
    ]
    return sorted(problems, key=lambda problem: problem.line or 0)


def _plotter_folders(config: Config, probe: Probe) -> Iterator[Finding]:
    if config.directories is None:
        return
    named = config.directories.located()
    seen = probe.look_all(folder for _, folder in named)
    yield from _twice(named, seen)
    system = str(os.stat("/").st_dev)  # noqa: PTH116
    for location, folder in named:
        yield from _state(location, folder, seen[folder])
        if _looks_dropped(folder, seen[folder], system):
            what, cure = (
                f"{folder} is on the system drive",
                "Mount the drive that belongs there, if it has one.",
            )
            yield Finding(location, what, cure, Level.WARNING)


def _twice(named: list[tuple[Location, str]], seen: dict[str, DirReport]) -> Iterator[Finding]:
    """Find two names of one folder (a link or mount): the limits of a tmp folder would count twice, and each
    plot of a dst folder or drive."""
    first: dict[tuple[object, int, int], str] = {}
    for location, folder in named:
        status = seen[folder].status if folder in seen else None
        if status is None:
            continue
        other = first.setdefault((location[1], status.st_dev, status.st_ino), folder)
        if other != folder:
            what = f"{folder} is the same folder as {other}"
            level = Level.WARNING if location[1] == "tmp" else Level.ERROR
            yield Finding(location, what, "Keep one of the two.", level)


def _looks_dropped(folder: str, seen: DirReport, system: str) -> bool:
    """Whether a folder below a usual place for drives is on the same file system as /."""
    major, _, minor = (seen.device or "").partition(":")
    if seen.state is not DirState.OK or not folder.startswith(("/mnt/", "/media/", "/run/media/")):
        return False
    return str(os.makedev(int(major), int(minor))) == system


def _drives(config: Config, probe: Probe) -> Iterator[Finding]:
    section = config.harvester
    if section is None:
        return
    where = ("harvester", "drives")
    try:
        # Each pattern may touch a drive that hangs, so one probe thread expands all.
        folders = probe.run(Path("/"), section.folders, 2 * LOOK_DEADLINE_S)
    except Hanging:
        yield Finding(where, "the search for drives hangs", "Find the drive that does not answer.")
        return
    looked_at = [folder for folder in folders if section.use_of(folder) is not DriveUse.DISABLED]
    seen = probe.look_all(looked_at, must_be_mounted=not section.plain_folders)
    yield from _farmed_by_link(config, seen, probe)
    yield from _twice([(where, folder) for folder in folders], seen)
    absent = {
        folder
        for folder, report in seen.items()
        if report.state is DirState.MISSING and not section.is_sure(folder)
    }
    folders = tuple(folder for folder in folders if folder not in absent)
    if not folders:
        yield Finding(where, "no folder matches", "Correct the pattern, or mount the drives.")
    yield from _named_for_nothing(section, folders)
    for folder in folders:
        if folder in seen:
            index = (section.drives.index(folder),) if folder in section.drives else ()
            yield from _state((*where, *index), folder, seen[folder])


def _farmed_by_link(config: Config, drives_seen: dict[str, DirReport], probe: Probe) -> Iterator[Finding]:
    """Find a plotter's folder that is a farming drive, if a link or mount makes two paths one folder."""
    if config.directories is None or config.archiving is None:
        return
    finished = config.directories.finished
    folders = dict.fromkeys(folder for _, folder in config.directories.located())
    own_seen = probe.look_all(folders)
    for folder in folders:
        for drive, report in drives_seen.items():
            mine, farmed = own_seen[folder].status, report.status
            if folder == drive or not mine or not farmed or not os.path.samestat(mine, farmed):
                continue
            if folder in finished:
                harm, level = "finished plots would be moved away from it", Level.ERROR
            else:
                harm, level = "plots of other machines would fill it", Level.WARNING
            what = f"{drive} is the same folder as {folder}: {harm}"
            yield Finding(("harvester", "drives"), what, "Name another folder.", level)


def _named_for_nothing(section: Harvester, folders: tuple[str, ...]) -> Iterator[Finding]:
    """Find misspelt drives, which plotman would continue to use."""
    for key in ("draining", "disabled"):
        for index, pattern in enumerate(getattr(section, key)):
            if not any(names([pattern], folder) for folder in folders):
                what, cure = (
                    f"{pattern} is none of the existing drives",
                    "Correct it, unless that drive is unplugged.",
                )
                yield Finding(("harvester", key, index), what, cure, Level.WARNING)


_UNUSABLE = {
    DirState.MISSING: ("does not exist", "Mount its drive, or make the folder."),
    DirState.NOT_MOUNTED: (
        "is not mounted",
        "Mount its drive, or write plain_folders: true if there is none.",
    ),
    DirState.READ_ONLY: ("is not writable", _WRITE),
    DirState.HANGING: ("does not answer", "Check its drive and cable, and dmesg."),
}


def _state(location: Location, folder: str, seen: DirReport) -> Iterator[Finding]:
    what, cure = _UNUSABLE.get(seen.state, ("", ""))
    if seen.state is DirState.OK and seen.total_bytes == 0:
        what, cure = "is on a file system without files", "Write another folder."
    elif seen.state is DirState.MISSING and os.path.exists(folder):  # noqa: PTH110  it answered just now
        what, cure = "is not a folder", "Write a folder here."
    elif seen.state is DirState.MISSING and folder != folder.strip():
        cure = "Remove the blank at the end of its name."
    if what:
        yield Finding(location, f"{folder} {what}", cure)


def _logs(config: Config) -> Iterator[Finding]:
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
            yield Finding(location, f"{nearest} is a file", "Write a folder here.")
        elif not os.access(nearest, os.W_OK | os.X_OK):
            yield Finding(location, f"{nearest} is not writable", _WRITE)


def _foreign(path: Path) -> Iterator[Finding]:
    """In place of a check that runs the programs of the file."""
    what = "other users may have written this file or its folder: the programs that it names are not run"
    cure = f"Look at it; then make it yours: chown it, and chmod go-w {path} {path.absolute().parent}"
    yield Finding((), what, cure, Level.WARNING)


def _open_secret(path: Path, config: Config) -> Iterator[Finding]:
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
        yield Finding(key, what, f"Run: chmod 600 {path}", Level.WARNING)


def _broker(config: Config, probe: Probe) -> Iterator[Finding]:
    url = config.broker_url
    if url is None:
        return
    try:
        # In a probe thread, because socket timeouts do not limit the name look-up.
        probe.run("farm.broker", lambda: reach(url, _BROKER_DEADLINE_S / 3), _BROKER_DEADLINE_S)
        return
    except Hanging:
        what = f"its server did not answer within {_BROKER_DEADLINE_S:g} s"
        cure = "Start it, or correct this key. Check that its name resolves."
    except BrokerError as error:
        what, cure = error.what, error.cure
    yield Finding(("farm", "broker"), what, cure, Level.WARNING)


def _chia(config: Config, probe: Probe) -> Iterator[Finding]:
    """Ask the services of chia whose settings are named. They may be started later."""
    sections = {HARVESTER: config.harvester, FULL_NODE: config.replot}
    for service, section in sections.items():
        root = section.chia_root if section is not None else None
        if root is None:
            continue
        try:
            # In a probe thread, because the folder may hang and an answer may trickle.
            probe.run(service.key, partial(reach_chia, root, service, _CHIA_DEADLINE_S), _CHIA_DEADLINE_S)
            continue
        except Hanging:
            what, cure = f"{service.name} did not answer within {_CHIA_DEADLINE_S:g} s", service.check
        except ChiaSilent as error:
            what, cure = error.what, error.cure
        yield Finding(tuple(service.key.split(".")), what, cure, Level.WARNING)
