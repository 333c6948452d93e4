"""Files of plotman 0.3 and 0.4: each key to change is named, and `migrate` changes them all."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml

from common.config import load
from common.config.migration import migrate, write
from common.errors import ConfigError, PlotmanError

SCHEDULING = """\
scheduling:
  tmpdir_stagger_phase_major: 2
  tmpdir_stagger_phase_minor: 1
  tmpdir_stagger_phase_limit: 1
  tmpdir_max_jobs: 3
  global_max_jobs: 12
  global_stagger_m: 30
  polling_time_s: 20
plotting:
  k: 33
  e: True
  n_threads: 4
  n_buckets: 64
  job_buffer: 4608
  farmer_pk: f
"""
OF_03 = f"""\
user_interface: {{use_stty_size: True}}
directories:
  log: /home/chia/logs
  tmp: [/mnt/tmp/00, /mnt/tmp/01]
  tmp_overrides:
    "/mnt/tmp/00": {{tmpdir_max_jobs: 5}}
  dst: [/mnt/dst/00]
  archive:
    rsyncd_module: plots
    rsyncd_path: /plots
    rsyncd_bwlimit: 80000
    rsyncd_host: myfarmer
    rsyncd_user: chia
    index: 1
{SCHEDULING}"""
OF_04 = f"""\
version: [1]
logging: {{plots: /home/chia/logs}}
directories:
  tmp: [/mnt/tmp/00]
  tmp_overrides: {{/mnt/tmp/00: {{tmpdir_max_jobs: 5}}}}
archiving: {{target: local_rsync, env: {{site_root: /farm/sites}}}}
{SCHEDULING}  x: True
  pool_contract_address: xch1
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "plotman.yaml"


OPTIONS = ["plotting.k", "plotting.e", "plotting.n_threads", "plotting.n_buckets", "plotting.job_buffer"]
ARCHIVE = ["", ".rsyncd_module", ".rsyncd_path", ".rsyncd_bwlimit", ".rsyncd_host", ".rsyncd_user", ".index"]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (
            OF_03,
            [
                "version",
                "directories.log",
                "directories.tmp_overrides",
                *(f"directories.archive{key}" for key in ARCHIVE),
                *OPTIONS,
            ],
        ),
        (f"version: [0]\n{OF_03}", None),
        (OF_04, ["version", "directories.tmp_overrides", *OPTIONS, "plotting.x"]),
    ],
    ids=["0.3", "0.3 with its version", "0.4"],
)
def test_loading_names_each_key_to_change_and_what_to_write(
    file: Path, text: str, keys: list[str] | None
) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        load(file)
    lines = str(error.value).splitlines()
    if keys is not None:
        assert [line.split(": ")[1] for line in lines] == keys
    assert f"{file}:1: version: is of plotman 0.4 or older" in lines[0]
    assert "`plotman config migrate`" in lines[0]
    assert any(
        line.endswith("plotting.k: is plotting.chia.k now. Move it under plotting.chia.") for line in lines
    )


def test_a_file_of_0_3_is_written_anew_with_all_its_values(file: Path) -> None:
    file.write_text(OF_03)
    done = migrate(file)
    assert done and done.written == file.with_name("plotman.v2.yaml") and done.left == ()
    assert file.read_text() == OF_03
    config = load(done.written)
    assert config.directories and config.scheduling and config.plotting and config.archiving
    assert config.plots_log_dir == Path("/home/chia/logs")
    assert config.directories.tmp == ("/mnt/tmp/00", "/mnt/tmp/01")
    assert config.scheduling.limits("/mnt/tmp/00").max_jobs == 5
    chia = config.plotting.chia
    assert (chia.k, chia.e, chia.n_threads, chia.n_buckets, chia.job_buffer) == (33, True, 4, 64, 4608)
    assert (config.plotting.type, config.plotting.farmer_pk) == ("chia", "f")
    assert (config.archiving.target, config.archiving.index) == ("rsyncd", 1)
    env = config.archiving.env
    assert (env["site"], env["site_root"], env["host"], env["user"]) == (
        "plots",
        "/plots",
        "myfarmer",
        "chia",
    )
    # 0.3 had this port of its own, and no key for it.
    assert env["rsync_port"] == "12000"
    assert env["options"].startswith("--bwlimit=80000 ")
    assert len(done.changes) == 14


def test_a_file_of_0_4_is_written_anew_with_all_its_values(file: Path) -> None:
    file.write_text(OF_04)
    done = migrate(file)
    assert done and done.left == ()
    config = load(done.written)
    assert config.archiving and config.plotting and config.scheduling
    assert (config.archiving.target, config.archiving.env) == ("local_rsync", {"site_root": "/farm/sites"})
    assert config.plotting.chia.x and config.plotting.pool_contract_address == "xch1"
    assert config.scheduling.limits("/mnt/tmp/00").max_jobs == 5


def test_what_is_wrong_beside_the_version_is_told_of_the_new_file(file: Path) -> None:
    file.write_text(OF_04.replace("global_max_jobs", "global_max_job"))
    done = migrate(file)
    assert done and [problem.key for problem in done.left] == ["scheduling.global_max_job"]


def test_a_file_that_is_there_is_not_overwritten(file: Path) -> None:
    file.write_text(OF_04)
    file.with_name("plotman.v2.yaml").write_text("mine")
    with pytest.raises(PlotmanError, match="exists already"):
        migrate(file)
    assert file.with_name("plotman.v2.yaml").read_text() == "mine"


def test_a_file_of_version_2_needs_no_migration(file: Path) -> None:
    file.write_text("version: [2]\nharvester: {drives: [/d]}\n")
    assert migrate(file) is None
    assert list(file.parent.iterdir()) == [file]


def test_a_file_that_cannot_be_read_is_told_so(file: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        migrate(file)


@pytest.mark.parametrize(
    "junk", ["directories: 5", "directories: {archive: 5}", "plotting: [k]", "logging: 3"]
)
def test_junk_in_an_old_file_does_no_harm(file: Path, junk: str) -> None:
    file.write_text(f"version: [1]\n{junk}\n")
    assert migrate(file) is not None


def test_what_is_written_is_for_its_owners_eyes_for_it_may_hold_a_password(tmp_path: Path) -> None:
    write(tmp_path / "new.yaml", "version: [2]\n")
    assert stat.S_IMODE((tmp_path / "new.yaml").stat().st_mode) == 0o600


def test_keys_of_no_version_stay_for_check_to_tell(file: Path) -> None:
    file.write_text(f"{OF_04}colour: red\n")
    done = migrate(file)
    assert done and yaml.safe_load(done.written.read_text())["colour"] == "red"
    assert [problem.key for problem in done.left] == ["colour"]
