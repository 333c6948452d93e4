"""Who writes a file, where the kernel grants no leases."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.system import openfile


@pytest.fixture
def no_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> bool:
        raise openfile._LeaseImpossible

    monkeypatch.setattr(openfile, "_may_lease", refuse)


def test_a_writer_is_found_in_proc(tmp_path: Path, no_leases: None) -> None:
    path = tmp_path / "file"
    path.touch()

    with path.open("r+b"):
        assert openfile.is_open_for_writing(path) is True


def test_a_reader_is_no_writer(tmp_path: Path, no_leases: None) -> None:
    path = tmp_path / "file"
    path.touch()

    with path.open("rb"):
        # None where the test may not look into every process.
        assert openfile.is_open_for_writing(path) in (False, None)
