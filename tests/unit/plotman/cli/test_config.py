"""`plotman config`: results on stdout, talk about them on stderr, and an exit status that scripts can use."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from common.config import load
from common.config.sample import sample
from common.errors import ExitCode
from plotman.cli.config import config


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(config, [str(word) for word in words])


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "plotman.yaml"
    monkeypatch.setenv("PLOTMAN_CONFIG", str(file))
    return file


def good(tmp_path: Path) -> str:
    for name in ("tmp", "dst", "drive"):
        (tmp_path / name).mkdir()
    (tmp_path / "chia").write_text("#!/bin/sh\necho 2.7.5\n")
    (tmp_path / "chia").chmod(0o755)
    return f"""\
version: [2]
farm: {{state: {tmp_path}}}
logging: {{plots: {tmp_path}/logs}}
directories:
  tmp: [{tmp_path}/tmp]
  dst: [{tmp_path}/dst]
scheduling:
  global_max_jobs: 2
  global_stagger_m: 0.1
  polling_time_s: 20
  tmpdir_max_jobs: 1
  tmpdir_stagger_phase_major: 2
  tmpdir_stagger_phase_minor: 1
plotting:
  type: chia
  chia:
    executable: {tmp_path}/chia
"""


def test_path_prints_where_the_file_is_looked_for(file: Path) -> None:
    assert run("path").stdout == f"{file}\n"


def test_generate_prints_the_sample() -> None:
    result = run("generate", "--full")
    assert (result.exit_code, result.stdout) == (ExitCode.OK, sample())


def test_generate_prints_a_short_sample_of_another_plotter() -> None:
    assert run("generate", "--type", "madmax").stdout == sample("madmax", full=False)
    assert run("generate", "--type", "swar").exit_code == ExitCode.CONFIG


def test_generate_writes_a_file_that_loads_and_overwrites_none_without_force(file: Path) -> None:
    new = file.with_name("new.yaml")
    assert run("generate", "-o", new).exit_code == ExitCode.OK
    assert load(new).directories
    new.write_text("mine")
    refused = run("generate", "-o", new)
    assert refused.exit_code == ExitCode.FAILED
    assert "--force" in refused.stderr and new.read_text() == "mine"
    assert run("generate", "-o", new, "--force").exit_code == ExitCode.OK
    assert new.read_text() == sample(full=False)


def test_generate_creates_no_folder_but_the_users_own(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = file.with_name("missing")
    refused = run("generate", "-o", missing / "plotman.yaml")
    assert (refused.exit_code, refused.stderr.split(".")[0]) == (ExitCode.FAILED, f"{missing} is no folder")
    assert not missing.exists()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(missing))
    assert run("generate", "-o", missing / "plotman" / "plotman.yaml").exit_code == ExitCode.OK


def test_check_of_a_good_file_says_nothing_on_stdout(file: Path, tmp_path: Path) -> None:
    file.write_text(good(tmp_path))
    result = run("check")
    assert (result.exit_code, result.stdout) == (ExitCode.OK, "")
    assert result.stderr == f"{file}: no problems.\n"


def test_check_of_five_mistakes_prints_five_lines_each_with_its_cure(file: Path, tmp_path: Path) -> None:
    file.write_text(
        good(tmp_path)
        .replace("global_max_jobs", "global_max_job")
        .replace("polling_time_s: 20", "polling_time_s: -1")
        .replace("tmpdir_max_jobs: 1", "tmpdir_max_jobs: one")
        .replace(f"dst: [{tmp_path}/dst]", f"dst: [{tmp_path}/dts]")
        .replace(f"{tmp_path}/chia", f"{tmp_path}/chai")
    )
    result = run("check", file)
    assert result.exit_code == ExitCode.CONFIG
    assert result.stdout.splitlines() == [
        f"{file}:6: directories.dst.0: {tmp_path}/dts does not exist. Mount its drive, or make the folder.",
        f"{file}:8: scheduling.global_max_job: unknown key. Did you mean global_max_jobs?",
        f"{file}:10: scheduling.polling_time_s: -1 is less than 0. Write 0 or more.",
        f"{file}:11: scheduling.tmpdir_max_jobs: 'one' is not a whole number. Write, for example: 3.",
        f"{file}:17: plotting.chia.executable: there is no program {tmp_path}/chai. "
        "Install it, or write its full path here.",
    ]
    assert result.stderr == f"{file}: 5 errors, 0 warnings.\n"


def test_check_with_warnings_alone_succeeds(file: Path, tmp_path: Path) -> None:
    file.write_text(good(tmp_path).replace("max_jobs: 2", "max_jobs: 0", 1))
    result = run("check")
    assert result.exit_code == ExitCode.OK
    assert ": warning: scheduling.global_max_jobs: is 0" in result.stdout
    assert result.stderr == f"{file}: 0 errors, 1 warning.\n"


def test_check_of_the_file_alone_does_not_look_at_the_machine(file: Path) -> None:
    file.write_text(sample())
    assert run("check").exit_code == ExitCode.CONFIG
    result = run("check", "--file-only")
    assert (result.exit_code, result.stdout) == (ExitCode.OK, "")


def test_check_as_json_has_the_same_field_by_field(file: Path, tmp_path: Path) -> None:
    file.write_text(good(tmp_path).replace("version: [2]", "version: 2"))
    result = run("check", "--json")
    assert result.exit_code == ExitCode.CONFIG
    assert json.loads(result.stdout) == [
        {
            "file": str(file),
            "line": 1,
            "level": "error",
            "key": "version",
            "what": "is not a list",
            "cure": "Write version: [2].",
        }
    ]


@pytest.mark.parametrize("text", [None, "", "\tx: 1\n", "version: [2"])
def test_check_of_what_is_no_configuration_is_one_line(file: Path, text: str | None) -> None:
    if text is not None:
        file.write_text(text)
    result = run("check")
    assert result.exit_code == ExitCode.CONFIG
    assert len(result.stdout.splitlines()) == 1


def test_migrate_writes_beside_the_old_file_and_tells_what_it_did(file: Path, tmp_path: Path) -> None:
    file.write_text(
        good(tmp_path)
        .replace("version: [2]", "version: [1]")
        .replace("  type: chia\n", "  k: 32\n")
        .replace("  chia:\n  ", "")
    )
    result = run("migrate")
    assert result.exit_code == ExitCode.OK, result.output
    assert result.stdout.splitlines() == [
        "plotting.executable is plotting.chia.executable now.",
        "plotting.k is plotting.chia.k now.",
    ]
    assert str(tmp_path / "plotman.v2.yaml") in result.stderr
    assert load(tmp_path / "plotman.v2.yaml").plotting
    again = run("migrate")
    assert again.exit_code == ExitCode.FAILED and "exists already" in again.stderr


def test_the_help_of_migrate_names_the_new_file() -> None:
    assert "NAME.v2.yaml" in run("migrate", "--help").output


def test_migrate_of_a_file_that_needs_none_says_so(file: Path, tmp_path: Path) -> None:
    file.write_text(good(tmp_path))
    result = run("migrate")
    assert (result.exit_code, result.stdout) == (ExitCode.OK, "")
    assert "nothing to do" in result.stderr
    file.unlink()
    assert run("migrate").exit_code == ExitCode.CONFIG


def test_help_does_not_wait_for_pydantic() -> None:
    code = "import sys, plotman.cli.config; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
