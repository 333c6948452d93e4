"""Programs that the configuration names: are they there, do they run, are they new enough?"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common.config.model import Config
from common.config.plotting import ChiaOptions, ChiaposOptions, MadmaxOptions, PlotterType
from common.config.problems import Level
from common.names import STATE_VARIABLE, Role

Location = tuple[str | int, ...]

VERSION_DEADLINE_S = 30.0  # chia takes a second to start, on a busy machine far longer


@dataclass(frozen=True)
class Trouble:
    """What is wrong with a program, and what to do about it."""

    location: Location
    what: str
    cure: str
    level: Level = Level.ERROR


@dataclass(frozen=True)
class Trial:
    """A second question, to a program that is new enough.

    arguments: of the question. judge: gets the path of the program and its answer; None: nothing is wrong.
    """

    arguments: tuple[str, ...]
    judge: Callable[[str, str], Trouble | None]


@dataclass(frozen=True)
class Program:
    """A program the configuration asks for.

    location: of the key that names it. arguments: with which it tells its version.
    least: the oldest version that will do; None: any that runs. why: what the older ones lack.
    mend: how to get it. trial: whether it can do what the file asks for; None: there is nothing to ask.
    """

    location: Location
    executable: str
    arguments: tuple[str, ...]
    least: tuple[int, ...] | None
    why: str
    mend: str
    trial: Trial | None = None


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
        options = plotting.chia if kind is PlotterType.CHIA else plotting.chiapos
        version = ("version",)
        return Program(key, options.executable, version, least, why, mend, _chia_makes(options, key))
    if kind is PlotterType.MADMAX:
        if plotting.madmax.k > 32:
            key = ("plotting", "madmax", "executable_k34")
        executable = plotting.madmax.chosen_executable
        return Program(key, executable, ("--version",), None, "", mend, _madmax_compresses(plotting.madmax))
    cuda = plotting.bladebit.chosen_executable == plotting.bladebit.executable_cuda
    key = ("plotting", "bladebit", "executable_cuda") if cuda else key
    # 1.1.0: the first whose log says what is needed to follow it; 2.0.0 brought disk, 3.0.0 CUDA.
    least = {"ramplot": (1, 1), "diskplot": (2,), "cudaplot": (3,)}[plotting.bladebit.mode.value]
    why = f"it has no {plotting.bladebit.mode.value} that plotman can follow"
    return Program(key, plotting.bladebit.chosen_executable, ("--version",), least, why, mend)


def trouble(program: Program, deadline_s: float = VERSION_DEADLINE_S) -> Trouble | None:
    """Look for a program and run it for its version. None: it will do."""
    name = program.executable
    if "/" in name and not name.startswith("/"):  # found here it is not found there
        what = f"{name} is not a full path, and programs are started in another folder"
        return Trouble(program.location, what, "Write the full path.")
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
    if program.least is not None and version is None:
        what = f"{found} does not tell a version"
        return Trouble(program.location, what, f"Try it: {_typed(found, program)}")
    if program.least is not None and version is not None and version < program.least:
        least = ".".join(map(str, program.least))
        what = f"{found} is version {'.'.join(map(str, version))}, and {program.why}"
        return Trouble(program.location, what, f"Install {least} or newer.")
    return _tried(found, program.trial, deadline_s) if program.trial else None


def _tried(found: str, trial: Trial, deadline_s: float) -> Trouble | None:
    try:
        ran = _run(found, trial.arguments, deadline_s)
    except (subprocess.TimeoutExpired, OSError):
        return None  # it told its version just now: this says nothing of what it can do
    return trial.judge(found, ran.stdout.decode("utf-8", "replace"))


# No folder can be made below it, so a plotter that is asked for its limits writes nothing anywhere.
_NOWHERE = f"{os.devnull}/plotman-asks"
# chia takes these for keys, and stops at them after it has looked at k.
_NO_KEYS = ("-f", "00", "-p", "00")


def _chia_makes(options: ChiaOptions | ChiaposOptions, executable: Location) -> Trial:
    """Whether chia takes this k, which only chia knows: the least k is in its settings, and a script that
    plotman.yaml names may say where those are. `chia plotters chiapos` asks the same function."""
    where = (*executable[:-1], "k")
    arguments = ("plots", "create", "-k", str(options.k), "-n", "0", *_NO_KEYS)

    def judge(found: str, said: str) -> Trouble | None:
        # chia 2.7.5 refuses all below `plots` while it has no settings, and names the command.
        if "chia init" in said:
            what = f"{found} has no settings for this user, and makes no plot without"
            return Trouble(
                executable, what, f"Run once, as the user who runs plotman: {options.executable} init"
            )
        refused = re.search(r"k=(\d+) is the minimum size", said)
        if refused is None:
            return None
        if options.k >= _LEAST_OVERRIDDEN:
            what = f"k{options.k} plots win nothing: the network takes k{refused[1]} and larger"
            cure = f"Write k: {refused[1]}, unless these plots are only to try a farm out."
            return Trouble(where, what, cure, Level.WARNING)
        what = f"{found} makes no plot of k{options.k}, so every plot would fail"
        cure = (
            f"Write k: {refused[1]} or more. To try a farm out with small plots, write min_mainnet_k_size: "
            f"{options.k} in config/config.yaml of chia's folder (CHIA_ROOT)."
        )
        return Trouble(where, what, cure)

    return Trial((*arguments, "-x", "-t", _NOWHERE, "-d", _NOWHERE), judge)


# From here on chia takes --override-k, which plotman then adds.
_LEAST_OVERRIDDEN = 25


def _madmax_compresses(options: MadmaxOptions) -> Trial | None:
    """Whether this chia_plot is Gigahorse's, which compresses, where that is asked for."""
    if not options.compression:
        return None

    def judge(found: str, said: str) -> Trouble | None:
        listed = {word.rstrip(",") for word in said.split()}
        if "-C" in listed or "-t" not in listed:  # without -t it is no list of options
            return None
        what = f"{found} has no option -C and cannot compress, so every plot would fail"
        cure = "Write compression: 0, or name Gigahorse's chia_plot as executable."
        return Trouble(("plotting", "madmax", "compression"), what, cure)

    return Trial(("--help",), judge)


def _run(found: str, arguments: tuple[str, ...], deadline_s: float) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [found, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=deadline_s,
        check=False,
        # The plotter worker of this machine takes no notice of a plotter that belongs to another plotman.
        env=os.environ | {STATE_VARIABLE: os.devnull},
    )


def _not_found(name: str, mend: str) -> tuple[str, str]:
    if not name.strip():
        return "no program is named", mend
    if " " in name.strip() and shutil.which(name.split()[0]):
        return f"there is no program {name!r}", f"Write {name.split()[0]}: plotman adds its options."
    if "/" not in name:
        return f"there is no program {name} on the PATH", mend
    if not os.path.exists(name):  # noqa: PTH110  Path.exists raises for a name that is too long
        return f"there is no program {name}", mend
    if Path(name).is_dir():
        return f"{name} is a folder", "Write the full path of the program in it."
    if not Path(name).is_file():
        return f"{name} is no program", mend
    return f"{name} may not be run", f"Allow it: chmod +x {name}"


def _version(output: str) -> tuple[int, ...] | None:
    """The first number with dots in a program's answer: `2.7.5`, `rsync  version 3.2.7  protocol`."""
    match = re.search(r"(?<![\w.])v?(\d+(?:\.\d+)+)", output)
    return tuple(map(int, match[1].split("."))) if match else None


def _typed(found: str, program: Program) -> str:
    return f"{' '.join((found, *program.arguments))}."
