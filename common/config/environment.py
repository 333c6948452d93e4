"""Does this machine have what plotman.yaml says? For `plotman config check` only: it looks at drives and
runs programs, each with a deadline."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from common.config import programs
from common.config.doubts import doubts
from common.config.drives import drives, is_sure, names, use_of
from common.config.farm import Harvester, masked
from common.config.libraries import PROVE, UNPROVEN, cannot_prove
from common.config.loader import Reading
from common.config.model import Config
from common.config.problems import Level, Problem
from common.probe import LOOK_DEADLINE_S, DirReport, Hanging, Probe
from common.snapshot import DirState, DriveUse

Location = tuple[str | int, ...]
_Found = tuple[Location, str, str, Level]

_WRITE = "Give it to the user who runs plotman, and see that it is not mounted read-only."


def find_problems(path: Path, reading: Reading) -> list[Problem]:
    """What this machine lacks of a configuration that was read from `path`, by line. Keys with errors of
    their own are left out."""
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
            *_libraries(config),
        ]
    finally:
        probe.close()
    problems = [
        Problem(path, what, cure, ".".join(map(str, location)), reading.document.line(location), level)
        for location, what, cure, level in found
    ]
    return sorted(problems, key=lambda problem: problem.line or 0)


def _plotter_folders(config: Config, probe: Probe) -> Iterator[_Found]:
    if config.directories is None:
        return
    named: list[tuple[Location, str]] = [
        *((("directories", "tmp", i), folder) for i, folder in enumerate(config.directories.tmp)),
        *((("directories", "dst", i), folder) for i, folder in enumerate(config.directories.dst or ())),
    ]
    if config.directories.tmp2:
        named.append((("directories", "tmp2"), config.directories.tmp2))
    seen = probe.look_all(folder for _, folder in named)
    system = str(os.stat("/").st_dev)  # noqa: PTH116
    for location, folder in named:
        yield from _state(location, folder, seen[folder].state)
        if _looks_dropped(folder, seen[folder], system):
            yield (
                location,
                f"{folder} is on the system drive",
                "Mount the drive that belongs there, if it has one.",
                Level.WARNING,
            )


def _looks_dropped(folder: str, seen: DirReport, system: str) -> bool:
    """Whether a folder where drives are mounted lies on the same file system as /."""
    major, _, minor = (seen.device or "").partition(":")
    if seen.state is not DirState.OK or not folder.startswith(("/mnt/", "/media/", "/run/media/")):
        return False
    return str(os.makedev(int(major), int(minor))) == system


def _drives(config: Config, probe: Probe) -> Iterator[_Found]:
    if config.harvester is None:
        return
    where: Location = ("harvester", "drives")
    try:
        # Any of the patterns may lie on a drive that hangs: one lane for all of them.
        folders = probe.run(Path("/"), lambda: drives(config), 2 * LOOK_DEADLINE_S)
    except Hanging:
        yield where, "looking for the drives hangs", "Look for the one that does not answer.", Level.ERROR
        return
    section = config.harvester
    looked_at = [folder for folder in folders if use_of(section, folder) is not DriveUse.DISABLED]
    seen = probe.look_all(looked_at, must_be_mounted=not section.plain_folders)
    gone = {
        folder
        for folder, report in seen.items()
        if report.state is DirState.MISSING and not is_sure(section, folder)
    }
    folders = tuple(folder for folder in folders if folder not in gone)
    if not folders:
        yield where, "no folder fits", "Correct the pattern, or mount the drives.", Level.ERROR
    yield from _named_for_nothing(section, folders)
    for folder in folders:
        if folder not in seen:
            continue
        index = section.drives.index(folder) if folder in section.drives else None
        yield from _state(where if index is None else (*where, index), folder, seen[folder].state)


def _named_for_nothing(section: Harvester, folders: tuple[str, ...]) -> Iterator[_Found]:
    """A misspelt drive would go on being written to."""
    for key in ("draining", "disabled"):
        for index, pattern in enumerate(getattr(section, key)):
            if not any(names([pattern], folder) for folder in folders):
                where: Location = ("harvester", key, index)
                what = f"{pattern} is none of the drives that are there"
                yield where, what, "Correct it, unless that drive is unplugged.", Level.WARNING


def _state(location: Location, folder: str, state: DirState) -> Iterator[_Found]:
    what, cure = {
        DirState.OK: ("", ""),
        DirState.UNKNOWN: ("", ""),
        DirState.MISSING: (f"{folder} does not exist", "Mount its drive, or make the folder."),
        DirState.NOT_MOUNTED: (
            f"{folder} is not mounted",
            "Mount its drive, or write plain_folders: true if there is none.",
        ),
        DirState.READ_ONLY: (f"{folder} may not be written to", _WRITE),
        DirState.HANGING: (f"{folder} does not answer", "Look at its drive and its cable, and at dmesg."),
    }[state]
    if what:
        yield location, what, cure, Level.ERROR


def _logs(config: Config) -> Iterator[_Found]:
    """Folders for logs and state are made when they are needed: can they be?"""
    wanted: list[tuple[Location, Path]] = [(("farm", "state"), config.state_dir)]
    if config.plotting:
        wanted.append((("logging", "plots"), config.plots_log_dir))
    for location, folder in wanted:
        nearest = next(above for above in (folder, *folder.parents) if above.exists())
        if not nearest.is_dir():
            yield location, f"{nearest} is a file", "Write a folder here.", Level.ERROR
        elif not os.access(nearest, os.W_OK | os.X_OK):
            yield location, f"{nearest} may not be written to", _WRITE, Level.ERROR


def _open_secret(path: Path, config: Config) -> Iterator[_Found]:
    url = config.broker_url
    targets = config.notifications.targets.values()
    secret: dict[Location, object] = {
        ("farm", "broker"): url is not None and masked(url) != url,
        ("farm", "flower_auth"): config.farm.flower_auth,
        ("notifications", "targets"): any(target.url for target in targets),
    }
    key = next((key for key, holds in secret.items() if holds), None)
    if key is not None and path.stat().st_mode & 0o077:
        what = "holds a password, and others on this machine may read the file"
        yield key, what, f"Close it: chmod 600 {path}", Level.WARNING


def _libraries(config: Config) -> Iterator[_Found]:
    if config.harvester is None:
        return
    if config.harvester.door_tls and find_spec("cryptography") is None:
        what = "needs the library cryptography, which is not installed: no plot could come in"
        yield ("harvester", "door_tls"), what, "Install it: pip install 'plotman[tls]'", Level.ERROR
    if cannot_prove(config.harvester):
        yield ("harvester", "proofs"), UNPROVEN, PROVE, Level.WARNING


def _programs(config: Config) -> Iterator[_Found]:
    for program in programs.wanted(config):
        trouble = programs.trouble(program)
        if trouble:
            yield trouble.location, trouble.what, trouble.cure, Level.ERROR
    archiving = config.archiving
    definition = archiving and archiving.target_definitions.get(archiving.target)
    if archiving is None or definition is None:
        return
    for key in ("disk_space_path", "transfer_path"):
        script = getattr(definition, key)
        if script is not None and not (Path(script).is_file() and os.access(script, os.X_OK)):
            where: Location = ("archiving", "target_definitions", archiving.target, key)
            yield where, f"{script} is not there, or may not be run", f"Look: ls -l {script}", Level.ERROR
    for key in ("disk_space_script", "transfer_script"):
        script = getattr(definition, key)
        if script is not None and not script.startswith("#!"):
            where = ("archiving", "target_definitions", archiving.target, key)
            yield where, "does not begin with #!", "Begin it with #!/bin/sh, say.", Level.ERROR
