"""A Python with and without the library for proofs, whichever this one is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest


def with_chiapos(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be found, in `folder`, which is made."""
    folder.mkdir(exist_ok=True)
    (folder / "chiapos.py").touch()
    monkeypatch.delitem(sys.modules, "chiapos", raising=False)
    monkeypatch.syspath_prepend(folder)


def without_chiapos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "chiapos", None)
