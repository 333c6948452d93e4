"""Settings that are allowed and that nobody wants."""

from __future__ import annotations

from typing import Any

import pytest

from common.config.check.lint import doubts
from common.config.model import Config
from common.config.problems import Level
from tests.support.sections import SCHEDULING

FEW = SCHEDULING | {"global_max_jobs": 4, "global_stagger_m": 30, "tmpdir_max_jobs": 3}
KEY = "8bb28d9d" * 12
ADDRESS = "xch1q5zs2pg9q5zs2pg9q5zs2pg9q5zs2pg9q5zs2pg9q5zs2pg9q5zsn5pv30"


def keys(scheduling: dict[str, Any] | None = None, plotting: dict[str, Any] | None = None) -> list[str]:
    config = Config.model_validate(
        {
            "version": [2],
            "directories": {"tmp": ["/t", "/u"]},
            "scheduling": FEW | (scheduling or {}),
            "plotting": {"type": "chia", **(plotting or {})},
        }
    )
    found = doubts(config)
    assert all(doubt.what.startswith("every plot would") == (doubt.level is Level.ERROR) for doubt in found)
    return [".".join(map(str, doubt.location)) for doubt in found]


@pytest.mark.parametrize(
    ("scheduling", "doubtful"),
    [
        ({}, []),
        ({"global_stagger_m": 0}, []),
        ({"global_max_jobs": 0}, ["scheduling.global_max_jobs"]),
        ({"tmpdir_max_jobs": 0}, ["scheduling.tmpdir_max_jobs"]),
        ({"tmpdir_max_jobs": 0, "tmp_overrides": {"/t": {"tmpdir_max_jobs": 1}}}, []),
        ({"tmp_overrides": {"/t": {"tmpdir_max_jobs": 0}}}, []),  # the way to take a folder out of use
        ({"tmpdir_stagger_phase_limit": 3}, []),
        ({"tmpdir_stagger_phase_limit": 4}, ["scheduling.tmpdir_stagger_phase_limit"]),
        (
            {"tmp_overrides": {"/t": {"tmpdir_stagger_phase_limit": 9}}},
            ["scheduling.tmp_overrides./t.tmpdir_stagger_phase_limit"],
        ),
        ({"tmpdir_stagger_phase_major": 5, "tmpdir_stagger_phase_minor": 0}, []),
        ({"tmpdir_stagger_phase_major": 6}, ["scheduling.tmpdir_stagger_phase_major"]),
    ],
)
def test_limits_that_start_nothing_or_hold_nothing_back(
    scheduling: dict[str, Any], doubtful: list[str]
) -> None:
    assert keys(scheduling) == doubtful


@pytest.mark.parametrize(
    ("plotting", "doubtful"),
    [
        ({"farmer_pk": KEY, "pool_contract_address": ADDRESS}, []),
        ({"farmer_pk": f"0x{KEY}", "pool_pk": KEY}, []),
        ({"farmer_pk": KEY[:-1]}, ["plotting.farmer_pk"]),
        ({"pool_pk": "..."}, ["plotting.pool_pk"]),
        ({"pool_contract_address": ADDRESS[:-1]}, ["plotting.pool_contract_address"]),
        ({"pool_contract_address": KEY}, ["plotting.pool_contract_address"]),
    ],
)
def test_keys_that_were_not_copied_whole(plotting: dict[str, Any], doubtful: list[str]) -> None:
    assert keys(plotting=plotting) == doubtful


@pytest.mark.parametrize(
    ("plotting", "doubtful"),
    [
        ({"type": "chia", "chia": {"k": 25}}, []),
        # Seen with chiapos 2.0.12: "Stripe size too large".
        ({"type": "chia", "chia": {"k": 24}}, []),
        ({"type": "chia", "chia": {"k": 23}}, ["plotting.chia.n_buckets"]),
        ({"type": "chia", "chia": {"k": 21, "n_buckets": 16}}, []),
        ({"type": "chia", "chia": {"k": 21, "n_buckets": 32}}, ["plotting.chia.n_buckets"]),
        ({"type": "chia", "chia": {"k": 20, "n_buckets": 16}}, ["plotting.chia.k"]),
        ({"type": "chia", "chia": {"n_buckets": 256}}, ["plotting.chia.n_buckets"]),
        ({"type": "chia", "chia": {"job_buffer": 9}}, ["plotting.chia.job_buffer"]),
        ({"type": "madmax", "farmer_pk": KEY, "pool_pk": KEY, "madmax": {"k": 31}}, ["plotting.madmax.k"]),
        ({"type": "madmax", "farmer_pk": KEY, "pool_pk": KEY, "madmax": {"k": 31, "network_port": 9699}}, []),
        ({"type": "madmax", "farmer_pk": KEY, "pool_pk": KEY, "chia": {"k": 24}}, []),
        ({"type": "chiapos", "chiapos": {"k": 18, "stripes": 2000, "n_buckets": 64}}, []),
        ({"type": "chiapos", "chiapos": {"k": 18, "stripes": 2000}}, ["plotting.chiapos.n_buckets"]),
        ({"type": "chiapos", "chiapos": {"k": 21, "n_buckets": 16}}, []),
        ({"type": "chiapos", "chiapos": {"k": 18}}, ["plotting.chiapos.stripes"]),
        ({"type": "bladebit", "bladebit": {"compression": 5}}, []),
        ({"type": "bladebit", "bladebit": {"mode": "diskplot", "compression": 5}},
         ["plotting.bladebit.compression"]),
        ({"type": "bladebit", "bladebit": {"mode": "cudaplot", "disk_128": True, "disk_16": True}},
         ["plotting.bladebit.disk_16"]),
        ({"type": "bladebit", "bladebit": {"mode": "cudaplot", "disk_128": True, "check_plots": 9}}, []),
        ({"type": "bladebit", "bladebit": {"check_plots": 9}}, ["plotting.bladebit.check_plots"]),
    ],
)  # fmt: skip
def test_options_that_the_plotter_refuses(plotting: dict[str, Any], doubtful: list[str]) -> None:
    assert keys(plotting=plotting) == doubtful
