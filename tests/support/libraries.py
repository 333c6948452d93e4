"""A Python with and without the libraries for proofs, whichever this one has."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest


def with_library(name: str, version: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be found, in `folder`, which is made."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (folder / f"{name}.py").touch()
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(folder)


def without_library(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
