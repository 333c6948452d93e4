"""Checks that the programs, scripts and libraries of a configuration exist, run and are new enough."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from common.config.model import Config
from common.config.problems import Finding, Level, Location
from common.config.sections.archiving import Archiving, TargetDefinition
from common.config.sections.farm import Harvester
from common.config.sections.plotter_options import (
    BladebitMode,
    ChiaOptions,
    ChiaposOptions,
    MadmaxMode,
    MadmaxOptions,
    PlotterType,
)
from common.config.sections.plotting import Plotting
from common.config.sections.targets import FILTER, filter_flaw, fitting_drives
from common.model.address import is_loopback
from common.model.paths import one_spelling
from common.names import STATE_VARIABLE, Role
from common.system.machine import pip_install
from common.system.mounts import Mounts
from common.system.proof_libraries import PROOF_LIBRARIES

VERSION_DEADLINE_S = 30.0  # chia takes a second to start, on a busy machine far longer


@dataclass(frozen=True)
class Trial:
    """A further check of a program that is new enough.

    arguments: to run it with. judge: takes the program's path and output; returns None if all is well.
    """

    arguments: tuple[str, ...]
    judge: Callable[[str, str], Finding | None]


@dataclass(frozen=True)
class Program:
    """A program that the configuration needs.

    location: of the key that names it.
    arguments: to print its version; None: it is not run.
    least: oldest version that is enough; None: any.
    why: what older versions lack.
    mend: how to get the program.
    trial: whether it can do what the configuration asks for; None: nothing to check.
    """

    location: Location
    executable: str
    arguments: tuple[str, ...] | None
    least: tuple[int, ...] | None
    why: str
    mend: str
    trial: Trial | None = None


# rsync 3.2.0 checks transfers with xxh128; the md5 of older ones is slower than a fast link.
_RSYNC_LEAST = (3, 2)


def missing_programs(config: Config) -> Iterator[Finding]:
    """Find programs that do not exist, do not run or are too old."""
    for program in wanted(config):
        if found := trouble(program):
            yield found
    for name, target in config.notifications.targets.items():
        if target.command and shutil.which(target.command[0]) is None:
            what = "its program does not exist or is not executable"
            yield Finding(("notifications", "targets", name, "command"), what, "Write its full path.")


def wanted(config: Config) -> list[Program]:
    """The programs that this machine needs."""
    programs = []
    if config.plotting:
        programs.append(_plotter(config.plotting))
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
                "its checksums are slower than a fast network",
                "Install rsync from your distribution.",
            )
        )
    return programs


def _plotter(plotting: Plotting) -> Program:
    options = plotting.options
    return Program(
        ("plotting", str(plotting.type), options.executable_key),
        options.chosen_executable,
        options.version_arguments,
        *_demands(plotting),
    )


# bladebit 1.1.0 is the first with enough progress in its log; 2.0.0 brought disk, 3.0.0 CUDA.
_BLADEBIT_LEAST = {BladebitMode.RAM: (1, 1), BladebitMode.DISK: (2,), BladebitMode.CUDA: (3,)}


def _demands(plotting: Plotting) -> tuple[tuple[int, ...] | None, str, str, Trial | None]:
    """`least`, `why`, `mend` and `trial` of a plotter's program."""
    mend = "Install it, or write its full path here."
    kind = plotting.type
    if kind is PlotterType.CHIA:
        return (1, 2), "it does not know pool contracts", mend, _chia_makes(plotting, plotting.chia)
    if kind is PlotterType.CHIAPOS:
        return (1, 3), "it has no `chia plotters`", mend, _chia_makes(plotting, plotting.chiapos)
    if kind is PlotterType.MADMAX:
        return None, "", mend, _madmax_compresses(plotting.madmax)
    if kind is PlotterType.BLADEBIT:
        mode = plotting.bladebit.mode
        return _BLADEBIT_LEAST[mode], f"plotman cannot follow its {mode}", mend, None
    return None, "", mend, None


def trouble(program: Program, deadline_s: float = VERSION_DEADLINE_S) -> Finding | None:
    """Find a program and check its version. Returns None if it is usable."""
    found = shutil.which(program.executable)
    if flaw := _flaw(program, found, deadline_s):
        return Finding(program.location, *flaw)
    return _tried(found, program.trial, deadline_s) if found and program.trial else None


def _flaw(program: Program, found: str | None, deadline_s: float) -> tuple[str, str] | None:
    """What is wrong with the program in the file `found`, and what to do."""
    name = program.executable
    if "/" in name and not name.startswith("/"):  # it would not be found there
        what = f"{name} is not a full path, and plotman starts programs in another folder"
        return what, "Write the full path."
    if found is None:
        return _not_found(name, program.mend)
    if program.arguments is None:
        return None
    try_it = f"Try it: {' '.join((found, *program.arguments))}."
    try:
        ran = _run(found, program.arguments, deadline_s)
    except subprocess.TimeoutExpired:
        return f"{found} did not print its version within {deadline_s:g} s", try_it
    except OSError as error:
        cure = "It may be built for another machine, or its #! line is wrong."
        return f"{found} does not run ({error.strerror})", cure
    version = _version(ran.stdout.decode("utf-8", "replace"))
    if ran.returncode != 0 and (version is None or program.least is not None):
        return f"{found} fails to print its version (exit status {ran.returncode})", try_it
    if program.least is None:
        return None
    if version is None:
        return f"{found} prints no version", try_it
    if version < program.least:
        what = f"{found} is version {'.'.join(map(str, version))}, and {program.why}"
        return what, f"Install {'.'.join(map(str, program.least))} or newer."
    return None


def _tried(found: str, trial: Trial, deadline_s: float) -> Finding | None:
    try:
        ran = _run(found, trial.arguments, deadline_s)
    except (subprocess.TimeoutExpired, OSError):
        return None  # it printed its version before, so this shows nothing about its abilities
    return trial.judge(found, ran.stdout.decode("utf-8", "replace"))


# No folder can be made below it, so a plotter that is run for a check writes nothing.
_NOWHERE = f"{os.devnull}/plotman-asks"
# chia checks k first, and then refuses these keys. Without -f it takes one of its own, if it has any.
_FARMER, _POOL = ("-f", "00"), ("-p", "00")


def _chia_makes(plotting: Plotting, options: ChiaOptions | ChiaposOptions) -> Trial:
    """Check that chia accepts this k, and has a key if plotman.yaml names none. Only chia knows: the smallest
    k is in its settings, and `executable` may be a script that chooses those. `chia plotters chiapos` uses
    the same function."""
    where, executable = (("plotting", str(plotting.type), key) for key in ("k", "executable"))
    keys = _POOL if plotting.farmer_pk is None else _FARMER + _POOL
    arguments = ("plots", "create", "-k", str(options.k), "-n", "0", *keys)

    def judge(found: str, output: str) -> Finding | None:
        # Without settings chia 2.7.5 refuses all of `chia plots`, and names the command.
        if "chia init" in output:
            what = f"{found} has no settings for this user, and makes no plot without them"
            return Finding(
                executable, what, f"Run once, as the user who runs plotman: {options.executable} init"
            )
        if "No keys, please run" in output:
            what = f"is missing, and {found} has no keys for this user, so every plot would fail"
            cure = "Write the farmer public key that `chia keys show` prints where the keys are."
            return Finding(("plotting", "farmer_pk"), what, cure)
        refused = re.search(r"k=(\d+) is the minimum size", output)
        if refused is None:
            return None
        if options.k >= _LEAST_OVERRIDDEN:
            what = f"k{options.k} plots win nothing: the network accepts k{refused[1]} and larger"
            cure = f"Write k: {refused[1]}, unless these plots are only for tests."
            return Finding(where, what, cure, Level.WARNING)
        what = f"{found} makes no plot of k{options.k}, so every plot would fail"
        cure = (
            f"Write k: {refused[1]} or more. For tests with small plots, write min_mainnet_k_size: "
            f"{options.k} in config/config.yaml of chia's folder (CHIA_ROOT)."
        )
        return Finding(where, what, cure)

    return Trial((*arguments, "-x", "-t", _NOWHERE, "-d", _NOWHERE), judge)


# From this k on chia accepts --override-k, which plotman adds.
_LEAST_OVERRIDDEN = 25


def _madmax_compresses(options: MadmaxOptions) -> Trial | None:
    """Check that this chia_plot compresses (is Gigahorse's), if plotman.yaml asks for compression."""
    if not options.compression or options.mode is MadmaxMode.GPU:
        return None

    def judge(found: str, output: str) -> Finding | None:
        listed = {word.rstrip(",") for word in output.split()}
        if "-C" in listed or "-t" not in listed:  # without -t it is not the list of options
            return None
        what = f"{found} has no option -C and cannot compress, so every plot would fail"
        cure = "Write compression: 0, or name Gigahorse's chia_plot as executable."
        return Finding(("plotting", "madmax", "compression"), what, cure)

    return Trial(("--help",), judge)


def _run(found: str, arguments: tuple[str, ...], deadline_s: float) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [found, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=deadline_s,
        check=False,
        # The plotter worker of this machine ignores plotters of another plotman.
        env=os.environ | {STATE_VARIABLE: os.devnull},
    )


def _not_found(name: str, mend: str) -> tuple[str, str]:
    if not name.strip():
        return "no program is named", mend
    if " " in name.strip() and shutil.which(name.split()[0]):
        return f"there is no program {name!r}", f"Write {name.split()[0]}; plotman adds the options."
    if "/" not in name:
        return f"there is no program {name} on the PATH", mend
    if not os.path.exists(name):  # noqa: PTH110  Path.exists raises for a name that is too long
        return f"there is no program {name}", mend
    if Path(name).is_dir():
        return f"{name} is a folder", "Write the full path of the program in it."
    if not Path(name).is_file():
        return f"{name} is not a program", mend
    return f"{name} is not executable", f"Run: chmod +x {name}"


def _version(output: str) -> tuple[int, ...] | None:
    """The first number with dots in the output: `2.7.5`, `rsync  version 3.2.7  protocol`."""
    match = re.search(r"(?<![\w.])v?(\d+(?:\.\d+)+)", output)
    return tuple(map(int, match[1].split("."))) if match else None


def target_lacks(archiving: Archiving | None) -> Iterator[Finding]:
    """Find missing drives of local_rsync, or missing programs of a user-defined target."""
    if archiving is None:
        return
    definition = archiving.target_definitions.get(archiving.target)
    if definition is not None:
        yield from _own(archiving, definition)
    elif archiving.target == "local_rsync":
        yield from _local(archiving)


def _own(archiving: Archiving, definition: TargetDefinition) -> Iterator[Finding]:
    above = ("archiving", "target_definitions", archiving.target)
    for key in ("disk_space_path", "transfer_path"):
        script = getattr(definition, key)
        if script is not None and not (Path(script).is_file() and os.access(script, os.X_OK)):
            what = f"{script} does not exist or is not executable"
            yield Finding((*above, key), what, f"Check: ls -l {script}")
    variables = {*os.environ, *definition.env, *archiving.env, "process_name", "source", "destination"}
    for key in ("transfer_process_name", "transfer_process_argument_prefix"):
        for name in re.findall(r"{(\w+)}", getattr(definition, key)):
            if name not in variables:
                what = f"uses {name}, which env does not have"
                yield Finding((*above, key), what, "Add it to env.", Level.WARNING)
    for key in ("disk_space_script", "transfer_script"):
        script = getattr(definition, key)
        if script is not None and not script.startswith("#!"):
            yield Finding((*above, key), "does not begin with #!", "Write #!/bin/sh on its first line.")


def _local(archiving: Archiving) -> Iterator[Finding]:
    if not archiving.env.get("site_root", "").strip():
        return
    root = one_spelling(archiving.env["site_root"])
    mounted = Mounts.now().types
    drives = [point for point in mounted if point.startswith(f"{root.rstrip('/')}/")]
    drives = drives or [point for point in mounted if point == root]
    pattern = archiving.env.get(FILTER, ".*")
    if not drives:
        what = f"no drive is mounted below {root}, so no plot would be moved"
        cure = "Mount the drives, or correct this key."
        yield Finding(("archiving", "env", "site_root"), what, cure, Level.WARNING)
    elif filter_flaw(pattern) is None and not fitting_drives(pattern, drives):
        what = f"matches none of the drives below {root} ({len(drives)}), so no plot would be moved"
        yield Finding(("archiving", "env", FILTER), what, "Correct it; .* takes every drive.", Level.WARNING)


def unproven(section: Harvester) -> Iterator[tuple[str, str]]:
    """Find libraries for `harvester.proofs` that are not installed: what that means, and what to do."""
    for library in PROOF_LIBRARIES.values():
        if section.proofs > 0 and not library.is_installed():
            yield (
                f"needs {library}, which is not installed: plotman checks only {library.checked} of"
                f" {library.plots}",
                f"Install it: {pip_install('proofs')}. Or write proofs: 0, to check no proofs.",
            )


_NO_LIBRARY = "needs the library cryptography, which is not installed"


def plain_plots(config: Config) -> tuple[str, str] | None:
    """Why plots of other machines come to this harvester without TLS, and what to do. None: they come by TLS,
    or the owner chose."""
    if config.harvester is None or config.harvester.receiver_tls is not None or config.receiver_tls:
        return None
    if (config.broker_url or "").startswith("rediss:"):
        what = f"{_NO_LIBRARY}: plots come without TLS, though messages do not"
        return what, f"Install it: {pip_install('tls')}"
    return (
        "is off, since farm.broker has no TLS: anybody who can change data on the network can replace plots",
        "Use the TLS of `plotman farm secrets`; or write true, or false if the network is yours alone.",
    )


def _is_alone(config: Config) -> bool:
    """Whether this seems to be the only machine of its farm."""
    url = config.broker_url
    return url is None or (is_loopback(url) and config.directories is not None)


def missing_libraries(config: Config) -> Iterator[Finding]:
    """Find libraries that `harvester` needs."""
    if config.harvester is None:
        return
    if config.harvester.receiver_tls and find_spec("cryptography") is None:
        what, remedy = f"{_NO_LIBRARY}: no plot could arrive", f"Install it: {pip_install('tls')}"
        yield Finding(("harvester", "receiver_tls"), what, remedy)
    if (found := plain_plots(config)) and not _is_alone(config):
        yield Finding(("harvester", "receiver_tls"), *found, Level.WARNING)
    for what, remedy in unproven(config.harvester):
        yield Finding(("harvester", "proofs"), what, remedy, Level.WARNING)
