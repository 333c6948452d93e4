"""What plotman.yaml says of a target, made ready to run."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from common.config.model import Config
from plotter_worker.archiving.targets.definition import (
    ArchiveTarget,
    cannot_run,
    last_line,
    target_of,
    without_harmful,
)
from tests.support.sections import SCHEDULING

FAR = {"user": "chia", "host": "nas", "site_root": "/mnt/plots", "site": "plots"}


def target(tmp_path: Path, section: bool = True, **archiving: Any) -> ArchiveTarget | None:
    return target_of(
        Config.model_validate(
            {
                "version": [2],
                "farm": {"host": "p1", "state": str(tmp_path)},
                "directories": {"tmp": ["/tmp/1"]},
                "scheduling": SCHEDULING,
                "plotting": {"farmer_pk": "a", "pool_pk": "b"},
                **({"archiving": archiving} if section else {}),
            }
        )
    )


def test_harvesters_are_no_target(tmp_path: Path) -> None:
    assert target(tmp_path, target="harvester") is None
    assert target(tmp_path, section=False) is None


def test_the_scripts_get_0_5_3s_variables(tmp_path: Path) -> None:
    made = target(tmp_path, target="rsyncd", env={**FAR, "ssh_port": 2222}, index=3)
    assert made is not None
    given = made.environment("/dst/a.plot", "/mnt/plots/1")
    wanted = {
        **FAR,
        "ssh_port": "2222",
        "rsync_port": "873",
        "source": "/dst/a.plot",
        "destination": "/mnt/plots/1",
        "process_name": "rsync",
        "PATH": os.environ["PATH"],
    }
    assert {key: given[key] for key in wanted} == wanted
    assert (made.index, made.argument_prefix) == (3, "rsync://chia@nas:873/plots")


@pytest.mark.parametrize("name", ["local_rsync", "rsyncd"])
def test_our_rsync_never_deletes_the_source_with_any_spelling_of_the_options(
    tmp_path: Path, name: str
) -> None:
    default = target(tmp_path, target=name, env=FAR)
    own = target(tmp_path, target=name, env={**FAR, "options": "--remove-source-files --whole-file"})
    assert default and own
    assert "--remove" not in default.env["options"] and "--preallocate" in default.env["options"]
    assert own.env["options"] == "--whole-file"
    assert own.stripped == ("--remove-source-files",)


def test_options_of_the_users_own_targets_are_theirs(tmp_path: Path) -> None:
    definition = {
        "env": {"options": "--remove-source-files"},
        "disk_space_script": "#!/bin/sh\n",
        "transfer_path": "/bin/true",
        "transfer_process_name": "rsync",
        "transfer_process_argument_prefix": "{nowhere}",
    }
    made = target(tmp_path, target="local_rsync", target_definitions={"local_rsync": definition})
    assert made is not None
    assert made.ours is None
    assert made.env["options"] == "--remove-source-files"
    assert made.transfer == Path("/bin/true")
    assert "{nowhere}" in made.problems[0]


def test_a_script_of_plotman_yaml_becomes_a_program_that_follows_it(tmp_path: Path) -> None:
    def written(text: str) -> Path:
        definition = {
            "disk_space_script": text,
            "transfer_path": "/bin/true",
            "transfer_process_name": "x",
            "transfer_process_argument_prefix": "y",
        }
        made = target(tmp_path, target="mine", target_definitions={"mine": definition})
        assert made is not None
        return made.space

    program = written("#!/bin/sh\necho 1\n")
    first = program.stat()
    assert os.access(program, os.X_OK) and first.st_mode & 0o077 == 0
    assert written("#!/bin/sh\necho 1\n").stat().st_ino == first.st_ino
    assert written("#!/bin/sh\necho 2\n").read_text() == "#!/bin/sh\necho 2\n"
    program.chmod(0o600)
    assert os.access(written("#!/bin/sh\necho 2\n"), os.X_OK)


def test_one_nas_is_one_place_for_all_plotters_and_a_local_folder_is_not(tmp_path: Path) -> None:
    nas, local = target(tmp_path, target="rsyncd", env=FAR), target(tmp_path, target="local_rsync", env=FAR)
    assert nas and local
    assert nas.place == "rsync://nas:873/plots"
    assert local.place == "p1:local_rsync"


@pytest.mark.parametrize(
    ("options", "kept", "left_out"),
    [
        ("-a --remove-sent-files --bwlimit=5", "-a --bwlimit=5", ["--remove-sent-files"]),
        ("-auv --update -u -n --size-only", "-av", ["-auv", "--update", "-u", "-n", "--size-only"]),
        ("--append-verify --ignore-existing", "", ["--append-verify", "--ignore-existing"]),
        ("--list-only -a --max-size=1M --no-c", "-a", ["--list-only", "--max-size=1M", "--no-c"]),
        ("--max-size 1M -f x -a --min-size 1", "-a", ["--max-size", "1M", "-f", "x", "--min-size", "1"]),
        ("-f-x -a", "-a", ["-f-x"]),
        ("-aRCV -R --filter=x --exclude", "-a", ["-aRCV", "-R", "--filter=x", "--exclude"]),
        ("--rsh=run -essh-unsafe -Trun --human-readable", None, []),
    ],
)
def test_only_what_deletes_the_source_or_leaves_a_file_as_it_is_is_left_out(
    options: str, kept: str | None, left_out: list[str]
) -> None:
    assert without_harmful(options) == (options if kept is None else kept, tuple(left_out))


def test_a_program_that_cannot_be_run_says_what_to_correct(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.touch()
    answers = [
        cannot_run(program, OSError(code, os.strerror(code)))
        for program, code in (
            (there, errno.EACCES),
            (there, errno.ENOEXEC),
            (there, errno.ENOENT),
            (tmp_path / "none", errno.ENOENT),
            (there / "none", errno.ENOTDIR),
            (there, errno.ENOMEM),
        )
    ]
    assert [what.replace(str(tmp_path), "") for what, _ in answers] == [
        "/there is not executable",
        "/there has no #! line",
        "/there names a program in its #! line that does not exist",
        "/none does not exist",
        "/there/none does not exist",
        "/there cannot be run (Cannot allocate memory)",
    ]
    assert answers[0][1] == f"Run chmod +x {there}"


def test_the_last_line_that_says_something_is_taken_and_no_more_of_it_than_a_line() -> None:
    assert last_line(b"one\n two \r\n\n") == "two"
    assert last_line(b"10%\rdone") == "done"
    assert last_line(b"") == ""
    assert last_line(b"x" * 400) == "x" * 300
