"""A copy of the last good plotman.yaml, with which processes start while the file has errors.

A running worker keeps its last good settings; the copy gives them to one that restarts, also after a boot.
It is a plain plotman.yaml below one line that names the original.
"""

from __future__ import annotations

import codecs
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from common.config import Config, default_path, load
from common.config.loader import Reading, read_bytes
from common.config.sections.farm import default_state_dir
from common.errors import ConfigError
from common.model.paths import one_spelling
from common.system import statefile

log = logging.getLogger(__name__)

# `farm: state` in a text that may not be YAML: a hint where the copy is. Its first line has to confirm it.
_STATE = re.compile(
    r"""^[^#\n]*?\bstate:[ \t]+(?:"([^"\n]+)"|'([^'\n]+)'|([^\s,}#"'][^\n,}#]*))""", re.MULTILINE
)


def load_to_run(path: Path | None = None, warn: Callable[[str], None] | None = None) -> Config:
    """Load the configuration for a process of the farm: the last good one if the file has errors.

    Args:
        path: of the file; None: `default_path()`.
        warn: called with the errors if the last good one is used.

    Raises:
        ConfigError: the file has errors and there is no last good one, or there is no file.
    """
    path = path or default_path()
    try:
        return load(path)
    except ConfigError as error:
        kept = last_good(path)
        if kept is None:
            raise
        if warn is not None:
            warn(f"{error}\nUntil it is corrected, the last good plotman.yaml stays in effect.")
        return kept


def keep(path: Path, reading: Reading) -> None:
    """Keep a copy of a configuration that took effect. Logs a warning if it cannot be written."""
    if reading.config is None:
        return
    copy = _copy_in(reading.config.state_dir)
    content = _first_line(path) + reading.raw.removeprefix(codecs.BOM_UTF8)
    try:
        if not copy.exists() or copy.read_bytes() != content:
            copy.parent.mkdir(parents=True, exist_ok=True)
            statefile.replace(copy, content)
    except OSError as error:
        log.warning("%s cannot be written, so the last good plotman.yaml is not kept: %s", copy, error)


def last_good(path: Path) -> Config | None:
    """The last configuration from `path` that took effect; None if it is unknown or no longer valid."""
    try:
        text = path.read_bytes().decode(errors="replace")
    except OSError:
        return None
    for state_dir in _state_dirs(path, text):
        try:
            first, newline, raw = _copy_in(state_dir).read_bytes().partition(b"\n")
        except OSError:
            continue
        if first + newline == _first_line(path):
            return read_bytes(path, raw).config
    return None


def _copy_in(state_dir: Path) -> Path:
    return state_dir / "last-good-plotman.yaml"


def _first_line(path: Path) -> bytes:
    return f"# Kept by plotman: the last good {path.absolute()}\n".encode()


def _state_dirs(path: Path, text: str) -> Iterator[Path]:
    for found in _STATE.finditer(text):
        named = next(filter(None, found.groups()))
        yield path.absolute().parent / one_spelling(named.strip())
    yield default_state_dir()
