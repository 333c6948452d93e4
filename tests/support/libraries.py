"""A Python with and without the libraries for proofs, whichever this one has."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest


def with_library(name: str, version: str | None, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be found, in `folder`, which is made. version: None: no package manager knows it."""
    folder.mkdir(exist_ok=True)
    if version is not None:
        info = folder / f"{name}-{version}.dist-info"
        info.mkdir(exist_ok=True)
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (info / "METADATA").write_text(text, encoding="utf-8")
    (folder / f"{name}.py").touch()
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(folder)


def without_library(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
