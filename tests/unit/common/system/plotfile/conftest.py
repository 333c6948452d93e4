"""Real plots, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import formats


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A plot of each format that a program here makes."""
    folder = tmp_path_factory.mktemp("real")
    return {"v1.0": formats.make_v1(folder), formats.GROUP: formats.make_group(folder)}
