"""What a plotman.yaml of 0.5.3 means here, and what follows from one for its machine."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from common.config import load
from common.config.model import Config
from common.config.sections.plotting import Plotting
from common.model.phase import Phase
from common.names import Role
from tests.support.sections import PLOTTER

EVERY_KEY_OF_053 = """\
version: [2]
logging:
  plots: /var/log/plotman/plots
  transfers: /var/log/plotman/transfers
  application: /var/log/plotman/plotman.log
  disk_spaces: /var/log/plotman/disk_spaces.log
user_interface:
  use_stty_size: False
commands:
  interactive:
    autostart_plotting: False
    autostart_archiving: False
directories:
  tmp:
    - /mnt/tmp/00
    - /mnt/tmp/01/
  tmp2: /mnt/tmp/a
  dst:
    - /mnt/dst/00
    - /mnt/dst/01
scheduling:
  global_max_jobs: 12
  global_stagger_m: 30
  polling_time_s: 20
  tmpdir_max_jobs: 3
  tmpdir_stagger_phase_major: 2
  tmpdir_stagger_phase_minor: 1
  tmpdir_stagger_phase_limit: 2
  tmp_overrides:
    "/mnt/tmp/00/":
      tmpdir_stagger_phase_major: 1
      tmpdir_stagger_phase_minor: 5
      tmpdir_stagger_phase_limit: 4
      tmpdir_max_jobs: 5
    "/mnt/tmp/01":
      tmpdir_max_jobs: 1
plotting:
  type: madmax
  farmer_pk: f0
  pool_contract_address: xch1abc
  chia: {executable: /opt/chia, n_threads: 4, n_buckets: 64, k: 33, e: True, job_buffer: 4608, x: True}
  madmax: {executable: /opt/chia_plot, n_threads: 8, n_buckets: 512, n_buckets3: 128, n_rmulti2: 2}
  bladebit: {executable: /opt/bladebit, threads: 88, no_numa: True}
archiving:
  target: mine
  index: 1
  env:
    command: rsync
    rsync_port: 873
    site_root: /farm/sites
  target_definitions:
    mine:
      env: {command: rsync, ssh_port: 22, site_root: null}
      disk_space_path: /home/chia/free
      transfer_script: |
        #!/bin/bash
        echo ${source} ${destination}
      transfer_process_name: "{command}"
      transfer_process_argument_prefix: "{site_root}"
"""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    file = tmp_path / "plotman.yaml"
    file.write_text(EVERY_KEY_OF_053)
    return file


HARVESTER = {"version": [2], "farm": {"broker": "redis://b:6379/0"}, "harvester": {"drives": ["/farm/*"]}}


def test_every_key_of_0_5_3_loads_and_keeps_its_value(written: Path) -> None:
    config = load(written)
    assert config.version == (2,)
    assert config.plots_log_dir == Path("/var/log/plotman/plots")
    assert config.logging.transfers == "/var/log/plotman/transfers"
    assert config.logging.application == "/var/log/plotman/plotman.log"
    assert config.logging.disk_spaces == "/var/log/plotman/disk_spaces.log"
    assert config.user_interface.use_stty_size is False
    assert config.commands.interactive.autostart_plotting is False
    assert config.commands.interactive.autostart_archiving is False
    assert config.directories and config.scheduling and config.plotting and config.archiving
    assert config.directories.tmp2 == "/mnt/tmp/a"
    assert config.directories.dst == ("/mnt/dst/00", "/mnt/dst/01")
    assert config.scheduling.global_max_jobs == 12
    assert config.scheduling.global_stagger_m == 30
    assert config.scheduling.polling_time_s == 20
    assert config.plotting.farmer_pk == "f0"
    assert config.plotting.pool_contract_address == "xch1abc"
    assert config.plotting.chia.model_dump() == {
        "executable": "/opt/chia",
        "n_threads": 4,
        "n_buckets": 64,
        "k": 33,
        "e": True,
        "job_buffer": 4608,
        "x": True,
    }
    madmax = config.plotting.madmax
    assert (madmax.executable, madmax.n_threads, madmax.n_buckets) == ("/opt/chia_plot", 8, 512)
    assert (madmax.n_buckets3, madmax.n_rmulti2) == (128, 2)
    bladebit = config.plotting.bladebit
    assert (bladebit.executable, bladebit.threads, bladebit.no_numa) == ("/opt/bladebit", 88, True)
    assert config.plotting.options is madmax
    assert config.archiving.target == "mine" and config.archiving.index == 1
    assert not config.archiving.by_harvester
    assert config.archiving.env == {"command": "rsync", "rsync_port": "873", "site_root": "/farm/sites"}
    definition = config.archiving.target_definitions["mine"]
    assert definition.env == {"command": "rsync", "ssh_port": "22", "site_root": None}
    assert definition.disk_space_path == "/home/chia/free"
    assert definition.transfer_script and definition.transfer_script.startswith("#!/bin/bash\n")


def test_defaults_are_those_of_0_5_3() -> None:
    config = Config.model_validate(PLOTTER)
    assert config.scheduling and config.plotting
    assert config.scheduling.tmpdir_stagger_phase_limit == 1
    chia, madmax, bladebit = config.plotting.chia, config.plotting.madmax, config.plotting.bladebit
    assert (chia.executable, chia.n_threads, chia.n_buckets, chia.k) == ("chia", 2, 128, 32)
    assert (chia.e, chia.job_buffer, chia.x) == (False, 3389, False)
    assert (madmax.executable, madmax.n_threads, madmax.n_rmulti2) == ("chia_plot", 4, 1)
    assert (madmax.n_buckets, madmax.n_buckets3) == (256, 256)
    assert (bladebit.executable, bladebit.threads, bladebit.no_numa) == ("bladebit", None, False)
    assert config.user_interface.use_stty_size and config.commands.interactive.autostart_plotting
    assert config.archiving is None
    assert config.plots_log_dir.parts[-2:] == ("plotman", "plots")


def test_a_folder_has_one_spelling_and_overrides_find_it_in_any(written: Path) -> None:
    config = load(written)
    assert config.directories and config.directories.tmp == ("/mnt/tmp/00", "/mnt/tmp/01")
    assert config.scheduling
    assert config.scheduling.limits("/mnt/tmp/00") == (5, Phase(1, 5), 4)
    assert config.scheduling.limits("/mnt/tmp/01") == (1, Phase(2, 1), 2)
    assert config.scheduling.limits("/mnt/tmp/other") == (3, Phase(2, 1), 2)


@pytest.mark.parametrize(
    ("directories", "where"),
    [
        ({"tmp": ["/t"], "tmp2": "/t2", "dst": ["/d", "/e/"]}, ("/d", "/e")),
        ({"tmp": ["/t"], "tmp2": "/t2/"}, ("/t2",)),
        ({"tmp": ["/t", "/u"]}, ("/t",)),
    ],
)
def test_without_dst_a_plot_stays_in_tmp2_or_else_in_its_tmp(
    directories: dict[str, Any], where: tuple[str, ...]
) -> None:
    config = Config.model_validate({**PLOTTER, "directories": directories})
    assert config.directories and config.directories.dst_for("/t") == where


def test_the_stagger_may_be_a_fraction_of_a_minute() -> None:
    data = copy.deepcopy(PLOTTER)
    data["scheduling"]["global_stagger_m"] = 0.1
    config = Config.model_validate(data)
    assert config.scheduling and config.scheduling.global_stagger_m == 0.1


@pytest.mark.parametrize(
    ("data", "roles", "scheduler"),
    [
        (PLOTTER, {Role.PLOTTER}, True),
        ({**PLOTTER, "archiving": {"target": "harvester"}}, {Role.PLOTTER, Role.ARCHIVER}, True),
        (HARVESTER, {Role.HARVESTER}, False),
        ({**PLOTTER, **HARVESTER}, {Role.PLOTTER, Role.HARVESTER}, False),
        ({"version": [2], "farm": {"broker": "redis://b", "scheduler": True}}, set(), True),
    ],
    ids=["plotter", "plotter that archives", "harvester", "both", "scheduler alone"],
)
def test_what_a_machine_does_follows_from_the_sections_it_has(
    data: dict[str, Any], roles: set[Role], scheduler: bool
) -> None:
    config = Config.model_validate(data)
    assert config.roles == roles
    assert config.runs_scheduler is scheduler
    assert config.runs_flower is scheduler


def test_flower_can_be_left_out_where_beat_runs_and_the_reverse() -> None:
    config = Config.model_validate({**PLOTTER, "farm": {"scheduler": False, "flower": True}})
    assert not config.runs_scheduler and config.runs_flower


def test_host_and_state_default_to_this_machines() -> None:
    config = Config.model_validate(PLOTTER)
    assert config.host and config.state_dir.name == "plotman"
    named = Config.model_validate({**PLOTTER, "farm": {"host": "p1", "state": "/var/lib/plotman/"}})
    assert (named.host, named.state_dir) == ("p1", Path("/var/lib/plotman"))


def test_the_brokers_password_is_in_no_text_of_the_configuration() -> None:
    config = Config.model_validate({**HARVESTER, "farm": {"broker": "redis://u:geheim@b:6379/1"}})
    assert config.broker_url == "redis://u:geheim@b:6379/1"
    assert "geheim" not in f"{config!r} {config} {config.model_dump()} {config.model_dump_json()}"


def test_a_configuration_does_not_change() -> None:
    config = Config.model_validate(PLOTTER)
    with pytest.raises(ValidationError):
        config.farm = config.farm  # type: ignore[misc]


def test_keys_that_disagree_are_refused_by_the_model_too() -> None:
    data = copy.deepcopy(PLOTTER)
    data["plotting"] = {"pool_pk": "a", "pool_contract_address": "b"}
    with pytest.raises(ValidationError, match="excludes pool_contract_address"):
        Config.model_validate(data)


@pytest.mark.parametrize(
    ("written", "gpus"),
    [(2, ("0", "1")), ([1, "GPU-4f2a"], ("1", "GPU-4f2a")), ([0, "0"], ("0",)), ([], ()), (0, ())],
)
def test_gpus_are_a_number_or_a_list(written: object, gpus: tuple[str, ...]) -> None:
    assert Plotting.model_validate({"gpus": written}).gpus == gpus


@pytest.mark.parametrize("written", [True, "all", [True], ["a b"], [""], 65, -1.5])
def test_gpus_are_nothing_else(written: object) -> None:
    with pytest.raises(ValidationError):
        Plotting.model_validate({"gpus": written})
