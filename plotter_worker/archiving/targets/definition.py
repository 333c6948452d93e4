"""The archiving target that plotman.yaml names: its scripts, and their environment."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from common.config import Config
from common.config.sections.archiving import TargetDefinition
from common.config.sections.targets import PRESETS

_NAME = re.compile(r"\{(\w+)\}")
# plotman deletes the source after it has checked the copy. An rsync that deletes it has not flushed the
# copy: a power cut of the drive's machine right after its end loses both.
_DELETES = frozenset({"--remove-source-files", "--remove-sent-files"})
# With these rsync exits 0 though it did not change or compare an existing file of the plot's name.
_SKIPS = frozenset(
    {
        "--append",
        "--append-verify",
        "--existing",
        "--ignore-existing",
        "--ignore-non-existing",
        "--size-only",
        "--update",
        "--dry-run",
        "--list-only",
        "--relative",
        "--cvs-exclude",
        "--no-checksum",
        "--no-c",
        "--no-ignore-times",
        "--no-I",
        "--version",
        "--help",
        "--info=help",
        "--debug=help",
    }
)
# The same; their value follows after "=" or as the next word.
_SKIPS_BY_VALUE = frozenset(
    {
        "--max-size",
        "--min-size",
        "--exclude",
        "--exclude-from",
        "--filter",
        "-f",
        "--compare-dest",
        "--only-write-batch",
        "--read-batch",
    }
)
# Short forms in one argument, unless an earlier letter takes a value: --update, --dry-run, --relative,
# --cvs-exclude, --version.
_SHORT = str.maketrans("", "", "unRCV")
_LETTERS = re.compile(r"-[^-eBTMf@][^eBTMf@]*\Z")


@dataclass(frozen=True, slots=True)
class ArchiveTarget:
    """An archiving target of one host.

    ours: plotman's own preset, local_rsync or rsyncd; None: scripts of the user, about which plotman knows
        only what 0.5.3 demanded of them.
    env: variables of the scripts, without source and destination.
    space, transfer: the two scripts, which take no arguments.
    process_name, argument_prefix: identify a running transfer.
    place: identifies the storage, also across hosts that share it.
    problems: what the operator should correct, one sentence each.
    stripped: options of the user that are left out.
    """

    name: str
    ours: str | None
    env: Mapping[str, str]
    index: int
    space: Path
    transfer: Path
    process_name: str
    argument_prefix: str
    place: str
    problems: tuple[str, ...] = ()
    stripped: tuple[str, ...] = field(default=())

    @property
    def suffix(self) -> str:
        """Subfolder for plots in each folder of the target; "" for none. Only of our own presets."""
        return self.env.get("path_suffix", "").strip("/") if self.ours else ""

    def environment(self, source: str = "", destination: str = "") -> dict[str, str]:
        """Environment of a script. The disk space script gets no source and destination."""
        given = {**os.environ, **self.env, "process_name": self.process_name}
        return given | {"source": source, "destination": destination} if source else given


def target_of(settings: Config) -> ArchiveTarget | None:
    """Read the target from plotman.yaml; None if harvesters take the plots, and without archiving.

    Scripts whose text is in plotman.yaml become files in the state directory. Raises OSError if they cannot
    be written.
    """
    archiving = settings.archiving
    if archiving is None or archiving.by_harvester:
        return None
    name = archiving.target
    own = archiving.target_definitions.get(name)
    definition = own or PRESETS[name]
    env = {key: value for key, value in {**definition.env, **archiving.env}.items() if value is not None}
    ours = None if own else name
    stripped: tuple[str, ...] = ()
    if ours:
        env["options"], stripped = without_harmful(env["options"])
    process_name, prefix = (
        _filled(text, env)
        for text in (definition.transfer_process_name, definition.transfer_process_argument_prefix)
    )
    folder = settings.state_dir / "targets"
    return ArchiveTarget(
        name=name,
        ours=ours,
        env=env,
        index=archiving.index,
        space=_program(definition, "disk_space", folder / f"{name}.disk_space"),
        transfer=_program(definition, "transfer", folder / f"{name}.transfer"),
        process_name=process_name,
        argument_prefix=prefix,
        place=_place(name, ours, env, prefix, settings.host),
        problems=_problems(name, process_name, prefix),
        stripped=stripped,
    )


def without_harmful(options: str) -> tuple[str, tuple[str, ...]]:
    """Split off the options of rsync that delete the source or keep an existing file. Returns the remaining
    options, and the removed ones."""
    kept: list[str] = []
    left_out: list[str] = []
    words = iter(options.split())
    for word in words:
        if word in _SKIPS_BY_VALUE:
            left_out += [word, *itertools.islice(words, 1)]
            continue
        by_value = word.partition("=")[0] in _SKIPS_BY_VALUE or word.startswith("-f")
        safe = "" if by_value or word in _DELETES | _SKIPS else word
        if _LETTERS.match(word):
            safe = word.translate(_SHORT)
        kept += [safe] if safe not in ("", "-") else []
        left_out += [word] if safe != word else []
    return " ".join(kept), tuple(left_out)


def _filled(text: str, env: Mapping[str, str]) -> str:
    """Replace `{name}` by its value in env. An unknown name stays, and `_problems` reports it."""
    return _NAME.sub(lambda match: env.get(match[1], match[0]), text)


def _problems(name: str, *filled: str) -> tuple[str, ...]:
    return tuple(
        f"Target {name}: {match[0]} in transfer_process_name or transfer_process_argument_prefix is not in "
        "its env, so that a running transfer is not recognised."
        for text in filled
        for match in _NAME.finditer(text)
    )


def _place(name: str, ours: str | None, env: Mapping[str, str], prefix: str, host: str) -> str:
    """Local drives belong to this host; storage on the network has the same address for all hosts."""
    if ours == "rsyncd":
        return f"rsync://{env['host']}:{env['rsync_port']}/{env['site']}"
    if ours or prefix.startswith("/"):
        return f"{host}:{name}"
    return f"{name}:{prefix}"


def _program(definition: TargetDefinition, step: str, file: Path) -> Path:
    """Path of the step's script; if plotman.yaml has its text, it is written to `file`."""
    path, text = getattr(definition, f"{step}_path"), getattr(definition, f"{step}_script")
    if path is not None:
        return Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if file.read_text(encoding="utf-8") == text and os.access(file, os.X_OK):
            return file
    # Replaced, not overwritten: a shell continues to read the script that it runs.
    handle, fresh = tempfile.mkstemp(dir=file.parent, prefix=file.name)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
    Path(fresh).chmod(0o700)
    Path(fresh).replace(file)
    return file


def cannot_run(program: Path, error: OSError) -> tuple[str, str]:
    """Explain why the system did not start a program, and what to do."""
    if error.errno == errno.ENOEXEC:
        return f"{program} has no #! line", "Add a first line, such as #!/bin/sh."
    if error.errno == errno.ENOENT and program.exists():
        return f"{program} names a program in its #! line that does not exist", "Correct the line."
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return f"{program} does not exist", "Correct the path in archiving.target_definitions."
    if error.errno == errno.EACCES:
        return f"{program} is not executable", f"Run chmod +x {program}"
    return f"{program} cannot be run ({error.strerror})", f"Run it by hand: {program}"


def last_line(output: bytes) -> str:
    """The last line of a program's output that is not empty, at most 300 characters; "" if there is none."""
    lines = output.decode("utf-8", "replace").replace("\r", "\n").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")[:300]
