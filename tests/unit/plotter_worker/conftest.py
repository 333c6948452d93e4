"""Plotters of other packages, for tests of all parts of the plotter worker."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.config.sections import plotter_packages
from tests.support.plotter_package import TINY, Install, lay_out


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs packages for one test."""
    monkeypatch.syspath_prepend(tmp_path / "site")
    modules, loaded = set(sys.modules), dict(plotter_packages._loaded)
    yield lambda name, module=TINY, **more: lay_out(tmp_path / "site", name, module, **more)
    plotter_packages._loaded.clear()
    plotter_packages._loaded.update(loaded)
    for name in set(sys.modules) - modules:
        if name.endswith("_for_plotman"):
            del sys.modules[name]
