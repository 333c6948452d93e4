"""A copy of the last plotman.yaml that was put into effect: by it a machine starts while the file has errors.

A worker that runs goes on by the last good file; one that crashes, or whose machine boots, is to do no less.
The copy is a plain plotman.yaml behind one line that names its original, to compare and to put back.
"""

from __future__ import annotations

import codecs
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from common.config import Config, default_path, load
from common.config.farm import default_state_dir
from common.config.loader import Reading, read_bytes
from common.errors import ConfigError
from common.model.paths import one_spelling
from common.system import statefile

log = logging.getLogger(__name__)

# `farm: state` in a text that may be no YAML: a hint where to look, which the copy itself has to confirm.
_STATE = re.compile(
    r"""^[^#\n]*?\bstate:[ \t]+(?:"([^"\n]+)"|'([^'\n]+)'|([^\s,}#"'][^\n,}#]*))""", re.MULTILINE
)


def load_to_run(path: Path | None = None, tell: Callable[[str], None] | None = None) -> Config:
    """The configuration in `path` (None: `default_path()`), or the last good one where that has errors: for
    the processes that make up the farm. They follow the file, and say there what is wrong with it.

    tell: called with the errors when the last good one holds. Raises ConfigError, as `config.load` does,
    where no good one is known, or there is no file at all: then nobody wants plotman here.
    """
    path = path or default_path()
    try:
        return load(path)
    except ConfigError as error:
        kept = last_good(path)
        if kept is None:
            raise
        if tell is not None:
            tell(f"{error}\nUntil this is mended, the last good plotman.yaml holds.")
        return kept


def keep(path: Path, reading: Reading) -> None:
    """What was read from `path` is good and in effect. Where no copy can be written, the log tells."""
    if reading.config is None:
        return
    copy = _copy_in(reading.config.state_dir)
    content = _first_line(path) + reading.raw.removeprefix(codecs.BOM_UTF8)
    try:
        if not copy.exists() or copy.read_bytes() != content:
            copy.parent.mkdir(parents=True, exist_ok=True)
            statefile.replace(copy, content)
    except OSError as error:
        log.warning("%s cannot be written, the last good plotman.yaml is not kept: %s", copy, error)


def last_good(path: Path) -> Config | None:
    """What `path` held when it was last in effect; None where that is not known, or is good no more."""
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
