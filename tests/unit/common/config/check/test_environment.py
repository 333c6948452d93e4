"""What `check` finds missing on the machine, with the lines of the file that ask for it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from common.config import Config
from common.config.check.environment import find_problems
from common.config.check.programs import missing_libraries
from common.config.loader import read
from common.config.model import LENIENT
from tests.support.libraries import with_library, without_library

SCHEDULING = """\
scheduling: {global_max_jobs: 1, global_stagger_m: 0, polling_time_s: 20, tmpdir_max_jobs: 1,
  tmpdir_stagger_phase_major: 2, tmpdir_stagger_phase_minor: 1}
"""


@pytest.fixture
def farm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has all it needs: folders, programs, a home, libraries."""
    for name in ("tmp", "dst", "drives/a", "drives/b", "bin", "state", "logs"):
        (tmp_path / name).mkdir(parents=True)
    for name, line in (("chia", "echo 2.7.5"), ("rsync", "echo rsync version 3.5.0")):
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    with_library("chiapos", "2.0.12", tmp_path / "lib", monkeypatch)
    with_library("chia_rs", "0.53.0", tmp_path / "lib", monkeypatch)
    return tmp_path


def text(farm: Path) -> str:
    return f"""\
version: [2]
farm: {{state: {farm}/state}}
logging: {{plots: {farm}/logs/plots}}
directories:
  tmp: [{farm}/tmp]
  dst: [{farm}/dst]
plotting:
  type: chia
archiving:
  target: harvester
harvester:
  drives: ["{farm}/drives/*"]
  plain_folders: true
{SCHEDULING}"""


def lacks(farm: Path, text: str, mode: int = 0o600) -> list[str]:
    file = farm / "plotman.yaml"
    file.write_text(text)
    file.chmod(mode)
    found = find_problems(file, read(file))
    return [str(problem).removeprefix(f"{file}:").replace(str(farm), "") for problem in found]


def test_a_machine_that_has_everything_lacks_nothing_and_nothing_is_made(farm: Path) -> None:
    assert lacks(farm, text(farm)) == []
    assert list((farm / "state").iterdir()) == list((farm / "logs").iterdir()) == []


def test_folders_that_do_not_exist(farm: Path) -> None:
    (farm / "tmp").rmdir()
    (farm / "dst").rmdir()
    (farm / "dst").write_text("a file")
    assert lacks(farm, text(farm)) == [
        "5: directories.tmp.0: /tmp does not exist. Mount its drive, or make the folder.",
        "6: directories.dst.0: /dst is not a folder. Write a folder here.",
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folders_that_may_not_be_written_to(farm: Path) -> None:
    (farm / "tmp").chmod(0o555)
    assert lacks(farm, text(farm))[0].startswith("5: directories.tmp.0: /tmp is not writable.")


def test_drives_that_are_not_mounted(farm: Path) -> None:
    told = lacks(farm, text(farm).replace("plain_folders: true", "plain_folders: false"))
    cure = "Mount its drive, or write plain_folders: true if there is none."
    assert told == [
        f"12: harvester.drives: /drives/a is not mounted. {cure}",
        f"12: harvester.drives: /drives/b is not mounted. {cure}",
    ]


def test_a_pattern_that_no_drive_fits(farm: Path) -> None:
    assert lacks(farm, text(farm).replace("drives/*", "drvies/*")) == [
        "12: harvester.drives: no folder matches. Correct the pattern, or mount the drives."
    ]


def test_a_drive_named_by_its_path_is_missed_when_it_is_not_there(farm: Path) -> None:
    assert lacks(farm, text(farm).replace("drives/*", "drives/c")) == [
        "12: harvester.drives.0: /drives/c does not exist. Mount its drive, or make the folder."
    ]


def test_programs_that_are_missing_or_too_old(farm: Path) -> None:
    (farm / "bin" / "rsync").write_text("#!/bin/sh\necho rsync version 3.1.3\n")
    told = lacks(farm, text(farm).replace("type: chia", "chia: {executable: chai}"))
    assert told == [
        "8: plotting.chia.executable: there is no program chai on the PATH. "
        "Install it, or write its full path here.",
        "9: archiving: /bin/rsync is version 3.1.3, and its checksums are slower than a fast network. "
        "Install 3.2 or newer.",
    ]


def test_a_log_folder_that_is_a_file(farm: Path) -> None:
    (farm / "logs" / "plots").write_text("")
    assert lacks(farm, text(farm)) == ["3: logging.plots: /logs/plots is a file. Write a folder here."]


def test_a_password_that_others_may_read(farm: Path) -> None:
    with_password = text(farm).replace("farm: {", "farm: {broker: 'redis://:geheim@b', ")
    told = "2: warning: farm.broker: contains a password, and other users of this machine may read the file."

    def about_the_file(text: str, mode: int) -> list[str]:
        return [line for line in lacks(farm, text, mode) if "contains a password" in line]

    assert about_the_file(with_password, 0o644) == [f"{told} Run: chmod 600 /plotman.yaml"]
    assert about_the_file(with_password, 0o600) == []
    assert about_the_file(with_password.replace(":geheim@", ""), 0o644) == []


def test_the_scripts_of_an_own_target(farm: Path) -> None:
    (farm / "move").write_text("#!/bin/sh\n")
    target = f"""\
archiving:
  target: mine
  target_definitions:
    mine:
      disk_space_script: "echo /x:1"
      transfer_path: {farm}/move
      transfer_process_name: rsync
      transfer_process_argument_prefix: /
"""
    told = lacks(farm, text(farm).replace("archiving:\n  target: harvester\n", target))
    key = "archiving.target_definitions.mine"
    assert told == [
        f"13: {key}.disk_space_script: does not begin with #!. Write #!/bin/sh on its first line.",
        f"14: {key}.transfer_path: /move does not exist or is not executable. Check: ls -l /move",
    ]


def test_the_machine_is_looked_at_even_where_the_file_has_errors(farm: Path) -> None:
    (farm / "tmp").rmdir()
    wrong = (
        text(farm).replace("global_max_jobs: 1,", "global_max_job: 1,").replace("version: [2]", "version: 2")
    )
    wrong += "colour: red\n"
    assert lacks(farm, wrong) == [
        "5: directories.tmp.0: /tmp does not exist. Mount its drive, or make the folder."
    ]


@pytest.mark.parametrize("whose", ["the file", "the folder"])
def test_no_program_of_a_file_that_others_may_have_written_is_run(farm: Path, whose: str) -> None:
    (farm / "bin/chia").write_text(f"#!/bin/sh\necho 2.7.5\ntouch {farm}/ran\n")
    assert lacks(farm, text(farm)) == []
    (farm / "ran").unlink()
    if whose == "the folder":
        farm.chmod(0o777)
    (found,) = lacks(farm, text(farm), mode=0o646 if whose == "the file" else 0o600)
    assert "warning: other users may have written this file or its folder: the programs" in found
    assert not (farm / "ran").exists()
    farm.chmod(0o755)


@pytest.mark.parametrize(
    ("broker", "tls", "plots", "warns"),
    [
        ("redis://far", None, True, True),
        ("redis://far", True, True, False),
        ("redis://far", False, True, False),
        ("rediss://far", None, True, False),
        ("redis://127.0.0.1", None, True, False),  # a farm of one machine, it seems
        ("redis://127.0.0.1", None, False, True),
        (None, None, True, False),
    ],
)
def test_plots_of_other_machines_without_tls_are_warned_of(
    broker: str | None, tls: bool | None, plots: bool, warns: bool
) -> None:
    given: dict[str, Any] = {
        "version": [2],
        "harvester": {"drives": ["/d"], "receiver_tls": tls, "proofs": 0},
    }
    if broker:
        given["farm"] = {"broker": broker}
    if plots:
        given["directories"] = {"tmp": ["/t"]}
    found = [str(one.key) for one in missing_libraries(Config.model_validate(given, context=LENIENT))]
    assert found == (["harvester.receiver_tls"] if warns else [])


def test_a_receiver_with_tls_needs_a_library(farm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_tls = text(farm).replace("  plain_folders: true\n", "  plain_folders: true\n  receiver_tls: true\n")
    assert lacks(farm, with_tls) == []
    monkeypatch.setattr("common.config.check.programs.find_spec", lambda name: name != "cryptography" or None)
    assert [line.partition(": ")[2] for line in lacks(farm, with_tls)] == [
        "harvester.receiver_tls: needs the library cryptography, which is not installed: "
        "no plot could arrive. "
        f"Install it: {sys.prefix}/bin/pip install 'plotman[tls]'"
    ]
    assert lacks(farm, text(farm)) == []


def test_plots_come_by_tls_where_messages_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_tls(broker: str, **harvester: bool) -> bool:
        section = {"drives": ["/d"], **harvester}
        return Config.model_validate(
            {"version": [2], "farm": {"broker": broker}, "harvester": section}
        ).receiver_tls

    assert by_tls("rediss://far")
    assert not by_tls("redis://far")
    assert by_tls("redis://far", receiver_tls=True)
    assert not by_tls("rediss://far", receiver_tls=False)
    monkeypatch.setattr("common.config.model.find_spec", lambda _: None)
    assert not by_tls("rediss://far"), "an update that lacks the library stops no harvester"
    assert by_tls("rediss://far", receiver_tls=True)


@pytest.mark.parametrize(
    ("library", "told"),
    [
        ("chiapos", "needs chiapos, which is not installed: plotman checks only header and size of plots of "
         "chia's first format (.plot)"),
        ("chia_rs", "needs chia_rs >= 0.53, which is not installed: plotman checks only header and whole "
         "size of plot groups (.gplot)"),
    ],
)  # fmt: skip
def test_proofs_need_a_library_for_each_format(
    farm: Path, monkeypatch: pytest.MonkeyPatch, library: str, told: str
) -> None:
    without_library(library, monkeypatch)
    asked_for = text(farm).replace("  plain_folders: true\n", "  plain_folders: true\n  proofs: 20\n")
    finding = (
        f"warning: harvester.proofs: {told}. Install it: {sys.prefix}/bin/pip install "
        "'plotman[proofs]'. Or write proofs: 0, to check no proofs."
    )
    assert lacks(farm, asked_for) == [f"14: {finding}"]
    assert lacks(farm, text(farm)) == [f"11: {finding}"], "they are asked for where nothing is said"
    assert lacks(farm, asked_for.replace("proofs: 20", "proofs: 0")) == []


@pytest.mark.parametrize(
    ("version", "enough"),
    [
        ("0.48.0", False),
        ("0.52.1", False),
        ("0.53.0", True),
        ("0.53.0rc1", True),
        ("1.0", True),
        ("?", False),
        (None, False),
    ],
)
def test_an_old_library_is_as_good_as_none(
    farm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str | None, enough: bool
) -> None:
    monkeypatch.setattr(sys, "path", [])
    with_library("chia_rs", version, tmp_path / "other", monkeypatch)
    with_library("chiapos", "2.0.12", tmp_path / "other", monkeypatch)
    found = lacks(farm, text(farm))
    assert ["needs chia_rs >= 0.53, which is not installed" in each for each in found] == [True] * (
        not enough
    )


def test_keys_with_errors_of_their_own_are_not_looked_at(farm: Path) -> None:
    (farm / "bin" / "chia").unlink()
    assert lacks(farm, text(farm).replace("type: chia", "type: madmx")) == []
    folders = text(farm).replace(f"tmp: [{farm}/tmp]", "tmp: 3").replace("type: chia", "type: madmx")
    assert lacks(farm, folders) == []


def test_folders_on_drives_are_named_without_a_look_at_any_drive(
    farm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = [f"{farm}/drives/*/plots", f"{farm}/drives/b", f"{farm}/*/a/"]
    config = Config.model_validate({"version": [2], "harvester": {"drives": named}})
    (farm / "drives" / "c d").mkdir()
    looked: list[object] = []
    for look in ("stat", "lstat"):
        monkeypatch.setattr(os, look, lambda path, **_: looked.append(path))
    assert config.harvester is not None
    found = config.harvester.folders()
    monkeypatch.undo()
    assert looked == []

    leaves = [folder.removeprefix(f"{farm}/drives/") for folder in found if "/drives/" in folder]
    assert leaves == ["a/plots", "b/plots", "c d/plots", "b", "a"]
    assert [leaf for leaf in leaves if config.harvester.is_sure(f"{farm}/drives/{leaf}")] == ["b"]


def test_folders_on_drives_count_where_they_are_there(farm: Path) -> None:
    below = text(farm).replace("drives/*", "drives/*/plots")
    assert lacks(farm, below) == [
        "12: harvester.drives: no folder matches. Correct the pattern, or mount the drives."
    ]
    (farm / "drives" / "a" / "plots").mkdir()
    assert lacks(farm, below) == []


def test_one_folder_under_two_names(farm: Path) -> None:
    """By a link; two mounts of one folder have the same device and inode, too."""
    (farm / "dst2").symlink_to("dst")
    (farm / "tmp2").symlink_to("tmp")
    for name, folder in (("c", "a"), ("d", "../tmp"), ("e", "../dst")):
        (farm / "drives" / name).symlink_to(folder)
    named = text(farm).replace(f"[{farm}/dst]", f"[{farm}/dst, {farm}/dst2]")
    named = named.replace(f"[{farm}/tmp]", f"[{farm}/tmp, {farm}/tmp2]")
    keep, other = "Keep one of the two.", "Name another folder."
    moved, filled = "finished plots would be moved away from it", "plots of other machines would fill it"
    assert sorted(lacks(farm, named)) == [
        f"12: harvester.drives: /drives/c is the same folder as /drives/a. {keep}",
        *(f"12: harvester.drives: /drives/e is the same folder as /{name}: {moved}. {other}"
          for name in ("dst2", "dst")),
        *(f"12: warning: harvester.drives: /drives/d is the same folder as /{name}: {filled}. {other}"
          for name in ("tmp2", "tmp")),
        f"5: warning: directories.tmp.1: /tmp2 is the same folder as /tmp. {keep}",
        f"6: directories.dst.1: /dst2 is the same folder as /dst. {keep}",
    ]  # fmt: skip


def test_drives_are_found_each_once_in_order(farm: Path) -> None:
    named = [f"{farm}/drives/b/", f"{farm}/drives/*", f"{farm}/gone"]
    config = Config.model_validate({"version": [2], "harvester": {"drives": named}})
    assert config.harvester is not None
    assert config.harvester.folders() == (
        f"{farm}/drives/b",
        f"{farm}/drives/a",
        f"{farm}/gone",
    )
