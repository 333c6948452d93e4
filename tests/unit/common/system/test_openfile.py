"""Who writes a file, where the kernel grants no leases; what is opened, and what others may have written."""

from __future__ import annotations

import fcntl
import grp
import os
import pwd
import subprocess
import sys
from collections.abc import Callable
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


@pytest.mark.timeout(20)
@pytest.mark.parametrize("read", [openfile.open_regular, openfile.read_own])
def test_a_pipe_a_folder_and_a_device_are_no_files(tmp_path: Path, read: Callable[[Path], object]) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(OSError, match="not a regular file"):
            read(path)


def test_only_a_file_of_our_own_may_be_no_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    with openfile.open_regular(tmp_path / "link") as file:
        assert file.read() == b"x"
    assert openfile.read_own(tmp_path / "file") == b"x"
    with pytest.raises(OSError, match="not a regular file"):
        openfile.read_own(tmp_path / "link")


def test_a_file_that_a_file_server_has_leased_is_waited_for(tmp_path: Path) -> None:
    """Samba holds leases on files that its clients have open, and returns them when another asks."""
    path = tmp_path / "file"
    path.write_text("x")
    holds = (
        "import fcntl, signal, sys\n"
        "file = open(sys.argv[1])\n"
        "signal.signal(signal.SIGIO, lambda *_: fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK))\n"
        f"fcntl.fcntl(file, fcntl.F_SETLEASE, {fcntl.F_WRLCK})\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holds, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"held\n"
        with openfile.open_regular(path) as file:
            assert file.read() == b"x"


def is_others(path: Path) -> bool:
    return openfile.others_may_write(path, path.stat())


@pytest.mark.parametrize(
    ("folder", "file", "others"),
    [
        (0o700, 0o600, False),
        (0o755, 0o644, False),
        (0o755, 0o646, True),
        (0o757, 0o644, True),
        (0o1777, 0o644, False),
        (0o1777, 0o646, True),
    ],
)
def test_who_else_may_write_a_file(tmp_path: Path, folder: int, file: int, others: bool) -> None:
    path = tmp_path / "folder/file"
    path.parent.mkdir()
    path.touch()
    path.chmod(file)
    path.parent.chmod(folder)
    assert is_others(path) is others


@pytest.mark.parametrize(
    ("name", "members", "others"), [(None, [], False), (None, ["ann"], True), ("users", [], True)]
)
def test_a_group_of_its_own_is_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str | None, members: list[str], others: bool
) -> None:
    """Debian gives each user such a group, and Ubuntu makes all files writable for it."""
    path = tmp_path / "file"
    path.touch()
    path.chmod(0o664)
    owner = pwd.getpwuid(os.geteuid())
    group = grp.struct_group((name or owner.pw_name, "x", owner.pw_gid, members))
    monkeypatch.setattr(openfile.grp, "getgrgid", lambda _: group)
    os.chown(path, -1, owner.pw_gid)
    assert is_others(path) is others


def test_a_file_of_another_user_is_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.touch()
    assert not is_others(path)
    if os.geteuid() == 0:
        os.chown(path, 12345, -1)
    else:
        monkeypatch.setattr(openfile.os, "geteuid", lambda: 12345)
    assert is_others(path)
    with pytest.raises(PermissionError, match="other users may write it"):
        openfile.read_own(path)
