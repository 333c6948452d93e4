"""Programs that the configuration names: are they there, do they run, are they new enough?"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from common.config.model import Config
from common.config.plotting import PlotterType
from common.names import Role

Location = tuple[str | int, ...]

VERSION_DEADLINE_S = 30.0  # chia takes a second to start, on a busy machine far longer


@dataclass(frozen=True)
class Program:
    """A program the configuration asks for.

    location: of the key that names it. arguments: with which it tells its version.
    least: the oldest version that will do; None: any that runs. why: what the older ones lack.
    mend: how to get it. needs_init: makes nothing for a user who never ran its `init`.
    """

    location: Location
    executable: str
    arguments: tuple[str, ...]
    least: tuple[int, ...] | None
    why: str
    mend: str
    needs_init: bool = False


@dataclass(frozen=True)
class Trouble:
    """What is wrong with a program, and what to do about it."""

    location: Location
    what: str
    cure: str


# rsync 3.2.0 chooses xxh128 for the check of a transfer; before, md5 held a fast link back.
_RSYNC_LEAST = (3, 2)


def wanted(config: Config) -> list[Program]:
    """The programs that this machine will run."""
    programs = []
    if config.plotting:
        programs.append(_plotter(config))
    if config.roles & {Role.ARCHIVER, Role.HARVESTER}:
        command = config.archiving.env.get("command", "rsync") if config.archiving else "rsync"
        by_script = config.archiving is not None and not config.archiving.by_harvester
        where: Location = ("archiving",) if config.archiving else ("harvester",)
        programs.append(
            Program(
                (*where, "env", "command") if by_script else where,
                command if by_script else "rsync",
                ("--version",),
                _RSYNC_LEAST if Path(command).name == "rsync" else None,
                "it checks what it sends by slow sums",
                "Install rsync from your distribution.",
            )
        )
    return programs


def _plotter(config: Config) -> Program:
    assert config.plotting is not None
    plotting = config.plotting
    kind = plotting.type
    key: Location = ("plotting", kind.value, "executable")
    mend = "Install it, or write its full path here."
    if kind in (PlotterType.CHIA, PlotterType.CHIAPOS):
        # `chia version`: an option --version it does not have (2.7.5). `chia plotters` came with 1.3.
        least: tuple[int, ...] = (1, 3) if kind is PlotterType.CHIAPOS else (1, 2)
        why = "it has no `chia plotters`" if kind is PlotterType.CHIAPOS else "it knows no pool contract"
        return Program(key, plotting.options.executable, ("version",), least, why, mend, needs_init=True)
    if kind is PlotterType.MADMAX:
        if plotting.madmax.k > 32:
            key = ("plotting", "madmax", "executable_k34")
        return Program(key, plotting.madmax.chosen_executable, ("--version",), None, "", mend)
    cuda = plotting.bladebit.chosen_executable == plotting.bladebit.executable_cuda
    key = ("plotting", "bladebit", "executable_cuda") if cuda else key
    # 1.1.0: the first whose log says what is needed to follow it; 2.0.0 brought disk, 3.0.0 CUDA.
    least = {"ramplot": (1, 1), "diskplot": (2,), "cudaplot": (3,)}[plotting.bladebit.mode.value]
    why = f"it has no {plotting.bladebit.mode.value} that plotman can follow"
    return Program(key, plotting.bladebit.chosen_executable, ("--version",), least, why, mend)


def trouble(program: Program, deadline_s: float = VERSION_DEADLINE_S) -> Trouble | None:
    """Look for a program and run it for its version. None: it will do."""
    name = program.executable
    found = shutil.which(name)
    if found is None:
        return Trouble(program.location, *_not_found(name, program.mend))
    try:
        ran = _run(found, program.arguments, deadline_s)
    except subprocess.TimeoutExpired:
        what = f"{found} did not tell its version within {deadline_s:g} s"
        return Trouble(program.location, what, f"Try it: {_typed(found, program)}")
    except OSError as error:
        what = f"{found} does not run ({error.strerror})"
        return Trouble(
            program.location, what, "It may be built for another machine, or its #! line is wrong."
        )
    version = _version(ran.stdout.decode("utf-8", "replace"))
    if ran.returncode != 0 and (version is None or program.least is not None):
        what = f"{found} fails when asked for its version (exit status {ran.returncode})"
        return Trouble(program.location, what, f"Try it: {_typed(found, program)}")
    if program.least is None:
        return None
    if version is None:
        what = f"{found} does not tell a version"
        return Trouble(program.location, what, f"Try it: {_typed(found, program)}")
    if version < program.least:
        least = ".".join(map(str, program.least))
        what = f"{found} is version {'.'.join(map(str, version))}, and {program.why}"
        return Trouble(program.location, what, f"Install {least} or newer.")
    return _uninitialised(found, program, deadline_s) if program.needs_init else None


def _uninitialised(found: str, program: Program, deadline_s: float) -> Trouble | None:
    """chia 2.7.5 refuses all below `plots`, and says what to run, while it has no settings. Where it has a
    folder for them and nothing in it, it gives help all the same; `plots show` lists folders of plots."""
    try:
        ran = _run(found, ("plots", "show"), deadline_s)
    except (subprocess.TimeoutExpired, OSError):
        return None  # it told its version just now: this says nothing of its settings
    if ran.returncode == 0 or b"chia init" not in ran.stdout:
        return None
    what = f"{found} has no settings for this user, and makes no plot without"
    return Trouble(
        program.location, what, f"Run once, as the user who runs plotman: {program.executable} init"
    )


def _run(found: str, arguments: tuple[str, ...], deadline_s: float) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [found, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=deadline_s,
        check=False,
    )


def _not_found(name: str, mend: str) -> tuple[str, str]:
    if "/" not in name:
        return f"there is no program {name} on the PATH", mend
    path = Path(name)
    if not path.exists():
        return f"there is no program {name}", mend
    if path.is_dir():
        return f"{name} is a folder", "Write the full path of the program in it."
    return f"{name} may not be run", f"Allow it: chmod +x {name}" if os.access(name, os.F_OK) else mend


def _version(output: str) -> tuple[int, ...] | None:
    """The first number with dots in a program's answer: `2.7.5`, `rsync  version 3.2.7  protocol`."""
    match = re.search(r"(?<![\w.])v?(\d+(?:\.\d+)+)", output)
    return tuple(map(int, match[1].split("."))) if match else None


def _typed(found: str, program: Program) -> str:
    return f"{' '.join((found, *program.arguments))}."
