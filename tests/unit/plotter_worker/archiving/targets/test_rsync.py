"""What rsync is given in our own presets, and what a daemon's list says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plotter_worker.archiving.targets import rsync
from plotter_worker.archiving.targets.definition import ArchiveTarget
from plotter_worker.archiving.targets.rsync import COMPARE, FLUSH, SEND, CannotList, listed_bytes
from plotter_worker.archiving.targets.transfer_script import Ended

URL = "rsync://u@h:873/plots/1/a.plot"


def target(ours: str | None, command: str = "/usr/bin/rsync") -> ArchiveTarget:
    about: dict[str, Any] = {"index": 0, "space": Path("/s"), "transfer": Path("/t"), "place": "p"}
    return ArchiveTarget("t", ours, {"command": command}, process_name="rsync", argument_prefix="/", **about)


def test_options_are_added_to_our_own_rsync_only() -> None:
    assert rsync.added_options(target(None), SEND, flush=True) == ""
    assert rsync.added_options(target(rsync.LOCAL, "/usr/bin/rclone"), SEND, flush=True) == ""
    local = rsync.added_options(target(rsync.LOCAL), COMPARE, flush=True).split()
    assert COMPARE in local
    assert FLUSH not in local, "plotman flushes copies on local drives itself"
    assert SEND not in rsync.added_options(target(rsync.LOCAL), "", flush=True)
    assert FLUSH in rsync.added_options(target(rsync.DAEMON), SEND, flush=True).split()
    assert FLUSH not in rsync.added_options(target(rsync.DAEMON), SEND, flush=False).split()


def test_an_option_counts_as_refused_if_a_failure_names_it() -> None:
    lines = ("rsync: --fsync: unknown option", "rsync error")
    assert rsync.refuses(Ended(1, lines, Path("/log"), 1), FLUSH)
    assert not rsync.refuses(Ended(1, lines, Path("/log"), 1), COMPARE)
    assert not rsync.refuses(Ended(0, lines, Path("/log"), 1), FLUSH)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("--whole-file --password-file /x -a", ["--password-file", "/x"]),
        ("--password-file=/x --port 7 --port=8", ["--password-file=/x", "--port", "7", "--port=8"]),
        ("-4 --ipv6 --sockopts=a -e ssh", ["-4", "--ipv6", "--sockopts=a"]),
        ("--port --whole-file --password-file", ["--port", "--password-file"]),
        ("-4 x", ["-4"]),
        ("--port=7 x", ["--port=7"]),
    ],
)
def test_a_daemon_is_asked_with_the_options_that_reach_it(given: str, kept: list[str]) -> None:
    assert rsync._connection_options(given) == kept


def test_a_folder_of_the_target_has_an_address_at_its_daemon() -> None:
    env = {"user": "u", "host": "h", "rsync_port": "873", "site": "plots", "site_root": "/mnt/"}
    assert rsync.address(env, "/mnt/1") == "rsync://u@h:873/plots/1/"
    assert rsync.address(env | {"path_suffix": "/sub/"}, "/mnt/1") == "rsync://u@h:873/plots/1/sub/"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"command": str(tmp_path / "rsync"), "options": "--port=7 --whole-file"}


def listed(env: dict[str, str], lines: str) -> int | None:
    program = Path(env["command"])
    program.write_text(f"#!/bin/sh\n{lines}\n")
    program.chmod(0o755)
    return listed_bytes(env, {"PATH": "/usr/bin:/bin"}, URL)


def test_a_daemon_lists_the_size_of_the_file_that_is_asked_for(env: dict[str, str], tmp_path: Path) -> None:
    line = "echo '-rw-r--r--  {}  2026/11/22 13:05:27 {}'"
    both = [
        "echo 'motd: welcome'",
        line.format("7", "b.plot"),
        line.format("1,000,000", "a.plot"),
        f'echo "$@" > {tmp_path}/argv',
    ]
    assert listed(env, "\n".join(both)) == 1_000_000
    words = (tmp_path / "argv").read_text().split()
    assert words[-2:] == ["--port=7", URL]
    assert "--list-only" in words
    assert listed(env, "echo 'rsync: link_stat failed: No such file or directory' >&2; exit 23") is None


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("echo 'rsync: change_dir failed: Permission denied' >&2; exit 23", "Permission denied"),
        ("echo 'No such file or directory' >&2; exit 10", "No such file"),
        ("exit 12", "rsync 12"),
        ("true", "rsync 0"),
        ("sleep 60", "was not listed within 0.5 s"),
    ],
)
def test_a_daemon_that_does_not_list_is_no_daemon_without_the_file(
    env: dict[str, str], lines: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rsync, "_DEADLINE_S", 0.5)
    with pytest.raises(CannotList, match=why):
        listed(env, lines)


def test_a_machine_without_rsync_cannot_ask(env: dict[str, str]) -> None:
    with pytest.raises(CannotList, match=r"rsync cannot be run \(No such file or directory\)"):
        listed_bytes(env, {}, URL)
