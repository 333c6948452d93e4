"""The archiving target that plotman.yaml names, ready to run: its programs, and what they are told."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from common.config import Config
from common.config.archiving import TargetDefinition
from common.config.presets import PRESETS

_NAME = re.compile(r"\{(\w+)\}")
# The source goes after the copy is known whole; an rsync that deletes it knows less (a power cut of the
# drive's machine right after its end leaves neither).
_DELETES = frozenset({"--remove-source-files", "--remove-sent-files"})
# With these rsync ends well though it left a file of the plot's name as it was, whatever is in that.
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
    }
)
# The same in a word of several: -u (--update) and -n (--dry-run), but not where a letter takes the rest.
_LETTERS = re.compile(r"-[^-eBTMf@][^eBTMf@]*\Z")


@dataclass(frozen=True, slots=True)
class ArchiveTarget:
    """An archiving target of one host.

    ours: local_rsync or rsyncd as plotman brings them; None: the user's own scripts, of which nothing is
        known but what 0.5.3 asked of them.
    env: all variables of the scripts, but source and destination.
    space, transfer: the two programs, without arguments.
    process_name, argument_prefix: by which a running transfer is known.
    place: the same on all hosts whose target is the same place.
    problems: what its owner should mend, one sentence each.
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
        """Folder below each of the target's in which plots lie; "" for none. Of our own targets only."""
        return self.env.get("path_suffix", "").strip("/") if self.ours else ""

    def environment(self, source: str = "", destination: str = "") -> dict[str, str]:
        """What the scripts find in their environment; without source for the one of the free space."""
        given = {**os.environ, **self.env, "process_name": self.process_name}
        return given | {"source": source, "destination": destination} if source else given


def target_of(settings: Config) -> ArchiveTarget | None:
    """The target that plotman.yaml names; None where harvesters take the plots, and without archiving.

    Scripts that are written out in plotman.yaml become files in the state folder. Raises OSError where
    they cannot be written.
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
    if ours and "options" in env:
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
    """rsync's options without those that delete the source, or leave a file at the destination as it is; and
    which these were."""
    kept: list[str] = []
    left_out: list[str] = []
    for word in options.split():
        safe = "" if word in _DELETES | _SKIPS else word
        if _LETTERS.match(word):
            safe = word.replace("u", "").replace("n", "")
        kept += [safe] if safe not in ("", "-") else []
        left_out += [word] if safe != word else []
    return " ".join(kept), tuple(left_out)


def _filled(text: str, env: Mapping[str, str]) -> str:
    """`{name}` replaced from env; a name that env lacks stays, and is told as a problem."""
    return _NAME.sub(lambda match: env.get(match[1], match[0]), text)


def _problems(name: str, *filled: str) -> tuple[str, ...]:
    return tuple(
        f"Target {name}: {match[0]} in transfer_process_name or transfer_process_argument_prefix is not in "
        "its env: a transfer that runs already is not known by it."
        for text in filled
        for match in _NAME.finditer(text)
    )


def _place(name: str, ours: str | None, env: Mapping[str, str], prefix: str, host: str) -> str:
    """Drives of this machine are its own; what is reached over the network is known by its address."""
    if ours == "rsyncd":
        return f"rsync://{env['host']}:{env['rsync_port']}/{env['site']}"
    if ours or prefix.startswith("/"):
        return f"{host}:{name}"
    return f"{name}:{prefix}"


def _program(definition: TargetDefinition, step: str, file: Path) -> Path:
    """Where the step's program lies; one that is written out in plotman.yaml is put into `file`."""
    path, text = getattr(definition, f"{step}_path"), getattr(definition, f"{step}_script")
    if path is not None:
        return Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if file.read_text(encoding="utf-8") == text and os.access(file, os.X_OK):
            return file
    # Never written in place: a shell reads on in a script that it runs.
    handle, fresh = tempfile.mkstemp(dir=file.parent, prefix=file.name)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
    Path(fresh).chmod(0o700)
    Path(fresh).replace(file)
    return file
