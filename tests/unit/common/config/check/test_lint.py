"""Settings that are allowed and that nobody wants."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.config.check.keys import _FIELD, is_public_key
from common.config.check.lint import doubts
from common.config.model import Config
from common.config.problems import Level
from tests.support.sections import FARMER, POOL, SCHEDULING

TESTNET = "txch1q5zs2pg9q5zs2pg9q5zs2pg9q5zs2pg9q5zs2pg9q5zs2pg9q5zs7nx6su"
MADMAX = {"type": "madmax", "farmer_pk": FARMER, "pool_pk": POOL}
FEW = SCHEDULING | {"global_max_jobs": 4, "global_stagger_m": 30, "tmpdir_max_jobs": 3}
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
        ({"farmer_pk": FARMER, "pool_contract_address": ADDRESS}, []),
        ({"farmer_pk": f"0x{FARMER}", "pool_pk": POOL.upper()}, []),
        ({"farmer_pk": FARMER[:40] + "0" + FARMER[41:]}, ["plotting.farmer_pk"]),
        ({"farmer_pk": FARMER[:-1] + "b"}, ["plotting.farmer_pk"]),
        ({"pool_pk": "8bb28d9d" * 12}, ["plotting.pool_pk"]),
        ({"farmer_pk": FARMER[:-1]}, ["plotting.farmer_pk"]),
        ({"pool_pk": "..."}, ["plotting.pool_pk"]),
        ({"pool_contract_address": ADDRESS[:-1]}, ["plotting.pool_contract_address"]),
        ({"pool_contract_address": TESTNET}, []),
        ({"pool_contract_address": FARMER}, ["plotting.pool_contract_address"]),
        ({"pool_contract_address": ADDRESS.replace("s2", "s3", 1)}, ["plotting.pool_contract_address"]),
        ({"pool_contract_address": ADDRESS.replace("xch1", "txch1")}, ["plotting.pool_contract_address"]),
    ],
)
def test_keys_that_cannot_be_right(plotting: dict[str, Any], doubtful: list[str]) -> None:
    assert keys(plotting=plotting) == doubtful


# Of `chia keys show`, for random secret keys; and the generator of the group.
OF_CHIA = (
    "8c9d2ffecfe00b3c6817acae48e1a6317f0b4c15eaf28fd7cdb6b062bb6da5b77e0e6d87dc6e161de2240a4904814ecc",
    "81bd790df2f8f07a30c4159c67b1385a1472f1b0a6cfea90a6b10af37d70be62c54f69980a5c61c86970e48cd1881632",
    "8cc2fa0f91265606f067e57ea8c58e1f7eecb58b6a0356a6fa15ae2db63f1e7c5a9d9c952f5674a964d999d272a5f73b",
    "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb",
)


def test_the_keys_of_chia_are_keys() -> None:
    assert all(map(is_public_key, OF_CHIA))


def test_a_key_has_one_spelling_only() -> None:
    """blst, which chia and the plotters use, refuses coordinates that are larger than the field."""
    assert not is_public_key(f"{int(OF_CHIA[1], 16) + _FIELD:x}")


@given(st.sampled_from(OF_CHIA), st.integers(1, 95), st.sampled_from("0123456789abcdef"))
def test_no_key_with_a_wrong_digit_is_a_key(key: str, at: int, digit: str) -> None:
    assert is_public_key(key[:at] + digit + key[at + 1 :]) == (digit == key[at])


@pytest.mark.parametrize("x", [0, 1 << 380, (1 << 381) - 1], ids=["of order 3", "on no curve", "too large"])
def test_points_outside_the_group_are_no_keys(x: int) -> None:
    assert not is_public_key(f"{1 << 383 | x:x}")


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
        (MADMAX | {"madmax": {"k": 31}}, ["plotting.madmax.k"]),
        (MADMAX | {"madmax": {"k": 31, "network_port": 9699}}, []),
        (MADMAX | {"chia": {"k": 24}}, []),
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
        (MADMAX | {"madmax": {"gpu_streams": 3}}, ["plotting.madmax.gpu_streams"]),
        (MADMAX | {"madmax": {"gpu_streams": 3, "mode": "gpuplot"}}, []),
        (MADMAX | {"madmax": {"k": 27, "mode": "gpuplot", "network_port": 1}}, ["plotting.madmax.k"]),
        (MADMAX | {"type": "xchplot2"}, []),
        (MADMAX | {"type": "xchplot2", "xchplot2": {"k": 18}}, ["plotting.xchplot2.k"]),
        (MADMAX | {"type": "xchplot2", "xchplot2": {"strength": 18}}, ["plotting.xchplot2.strength"]),
    ],
)  # fmt: skip
def test_options_that_the_plotter_refuses(plotting: dict[str, Any], doubtful: list[str]) -> None:
    assert keys(plotting=plotting) == doubtful


@pytest.mark.parametrize(
    ("farm", "doubtful"),
    [({}, []), ({"scheduler": True}, []), ({"scheduler": False}, ["replot"])],
)
def test_the_plan_for_old_plots_belongs_where_the_scheduler_runs(
    farm: dict[str, Any], doubtful: list[str]
) -> None:
    config = Config.model_validate({"version": [2], "farm": farm, "replot": {}})
    assert [".".join(map(str, doubt.location)) for doubt in doubts(config)] == doubtful
