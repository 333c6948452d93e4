"""Small JSON files that survive a kill at any moment."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
from pydantic import BaseModel

from common.system import statefile


class Note(BaseModel):
    text: str


def test_what_was_written_is_read_and_nothing_else_is_left(tmp_path: Path) -> None:
    statefile.write(tmp_path / "a.json", Note(text="one"))
    statefile.write(tmp_path / "a.json", Note(text="two"))
    assert statefile.read(tmp_path / "a.json", Note) == Note(text="two")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_two_that_write_at_once_never_leave_a_mixture(tmp_path: Path) -> None:
    path = tmp_path / "a.json"

    def write(text: str) -> None:
        for _ in range(50):
            statefile.write(path, Note(text=text))

    texts = ["short", "long" * 5000]
    writers = [threading.Thread(target=write, args=(text,)) for text in texts]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        found = statefile.read(path, Note)
        assert found is None or found.text in texts
    for writer in writers:
        writer.join()


@pytest.mark.parametrize("content", [b"", b"{", b'{"text": "a"}\0\0', b"\xff\xfe"])
def test_a_file_in_ruins_counts_as_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    assert statefile.read(path, Note) is None


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.mkdir()
    with pytest.raises(OSError):
        statefile.write(path, Note(text="two"))
    assert [left.name for left in tmp_path.iterdir()] == ["a.json"]


def test_a_private_folder_is_for_its_owner_only_also_if_an_earlier_release_made_it(tmp_path: Path) -> None:
    made = tmp_path / "state" / "below"
    statefile.private_folder(made)
    assert made.stat().st_mode & 0o777 == 0o700
    for mode, kept in ((0o755, 0o700), (0o770, 0o700), (0o2775, 0o700), (0o700, 0o700), (0o1777, 0o1777)):
        made.chmod(mode)
        statefile.private_folder(made)
        assert stat.S_IMODE(made.stat().st_mode) == kept


@pytest.mark.timeout(20)
def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    os.mkfifo(tmp_path / "a.json")
    assert statefile.read(tmp_path / "a.json", Note) is None
    assert "not a regular file" in caplog.text


def test_only_files_and_directories_are_flushed_and_a_pipe_holds_no_thread(tmp_path: Path) -> None:
    plot, pipe = tmp_path / "a.plot", tmp_path / "b.plot"
    plot.touch()
    os.mkfifo(pipe)
    for path in (plot, tmp_path):
        statefile.make_durable(path)
    refused: list[OSError] = []

    def flush() -> None:
        try:
            statefile.make_durable(pipe)
        except OSError as error:
            refused.append(error)

    thread = threading.Thread(target=flush, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert "not a regular file" in str(refused)
    with pytest.raises(FileNotFoundError):
        statefile.make_durable(tmp_path / "gone.plot")
