"""Fixtures of notifications."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.notified import Phone, make_hook


@pytest.fixture
def phone() -> Iterator[Phone]:
    made = Phone()
    yield made
    made.close()


@pytest.fixture
def hook(tmp_path: Path) -> Path:
    return make_hook(tmp_path)
