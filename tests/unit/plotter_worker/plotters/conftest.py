"""Logs to read.

chia-* and chiapos-* were written by chia 2.7.5 itself, at k18 and k21 (some with most of their "Bucket" lines
taken out); the others are made up line by line after what those programs print.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.paths import LOGS


@pytest.fixture(scope="session")
def log() -> Callable[[str], bytes]:
    """A log by its name."""
    return lambda name: (LOGS / f"{name}.log").read_bytes()


@pytest.fixture(scope="session")
def all_logs() -> dict[str, bytes]:
    """Every log by its name."""
    return {path.stem: path.read_bytes() for path in sorted(LOGS.glob("*.log"))}
