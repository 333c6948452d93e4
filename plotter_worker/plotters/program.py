"""Which program a process runs, and with which arguments, from its argv."""

from __future__ import annotations

import re
from collections.abc import Sequence

_PYTHON = re.compile(r"python[\d.]*\Z")
# Python's own options that take a value in the next word.
_PYTHON_VALUES = frozenset({"-X", "-W", "--check-hash-based-pycs"})


def program(argv: Sequence[str]) -> tuple[str, list[str]]:
    """Base name of the program and its arguments; ("", []) for none (a zombie has no argv).

    A Python script is named by the script: `/venv/bin/python3.11 /venv/bin/chia plots` is
    ("chia", ["plots"]), as is `python -m chia.cmds.chia plots`. Python without a script is "python".
    """
    if not argv:
        return "", []
    name, rest = _base(argv[0]), list(argv[1:])
    if not _PYTHON.match(name):
        return name, rest
    while rest:
        word = rest.pop(0)
        if word == "-m" and rest:
            return rest.pop(0).rpartition(".")[2], rest
        if word in _PYTHON_VALUES:
            rest = rest[1:]
        elif not word.startswith("-"):
            return _base(word), rest
        elif word == "-c":
            break
    return "python", []


def _base(path: str) -> str:
    return path.rpartition("/")[2]
