"""Which keys must agree, and the message when they do not."""

from __future__ import annotations

from typing import Any

import pytest

from common.config.problems import Level
from common.config.rules import broken

PLOTTER: dict[str, Any] = {"directories": {"tmp": ["/mnt/tmp/00"]}, "scheduling": {}, "plotting": {}}


def told(**sections: Any) -> list[str]:
    return [f"{rule.key} {rule.what}. {rule.cure}" for rule in broken({**PLOTTER, **sections})]


@pytest.mark.parametrize(
    ("plotting", "keys"),
    [
        ({}, []),
        ({"type": "chia", "pool_pk": "a"}, []),
        ({"type": "chia", "pool_contract_address": "a"}, []),
        ({"type": "chia", "pool_pk": "a", "pool_contract_address": "b"}, ["pool_pk"]),
        ({"type": "chiapos", "pool_pk": "a", "pool_contract_address": "b"}, ["pool_pk"]),
        ({"type": "madmax", "farmer_pk": "f", "pool_pk": "a"}, []),
        ({"type": "madmax", "farmer_pk": "f", "pool_contract_address": "a"}, []),
        ({"type": "madmax", "farmer_pk": "f"}, ["pool_contract_address"]),
        ({"type": "madmax", "pool_pk": "a"}, ["farmer_pk"]),
        ({"type": "madmax"}, ["farmer_pk", "pool_contract_address"]),
        ({"type": "madmax", "farmer_pk": "f", "pool_pk": "a", "pool_contract_address": "b"}, ["pool_pk"]),
        ({"type": "madmax", "farmer_pk": None, "pool_pk": "a"}, ["farmer_pk"]),
    ],
)
def test_whose_the_plots_are(plotting: dict[str, Any], keys: list[str]) -> None:
    found = broken({**PLOTTER, "plotting": plotting})
    assert [rule.key for rule in found] == [f"plotting.{key}" for key in keys]
    assert all(rule.level is Level.ERROR for rule in found)


def test_bladebit_without_keys_is_a_warning_for_0_5_3_took_such_a_file() -> None:
    found = broken({**PLOTTER, "plotting": {"type": "bladebit"}})
    assert [rule.level for rule in found] == [Level.WARNING, Level.WARNING]


@pytest.mark.parametrize(
    ("data", "missing"),
    [
        ({"harvester": {}}, []),
        ({"farm": {}, "harvester": {}}, []),
        ({"farm": {"scheduler": True}}, []),
        (PLOTTER, []),
        ({**PLOTTER, "harvester": {}}, []),
        ({}, ["directories", "scheduling", "plotting"]),
        ({"directories": {}}, ["scheduling", "plotting"]),
        ({"directories": {}, "harvester": {}}, ["scheduling", "plotting"]),
        ({"plotting": {}, "scheduling": {}, "directories": None}, ["directories"]),
        ({"archiving": {}, "harvester": {}}, ["directories", "scheduling", "plotting"]),
    ],
)
def test_a_plotter_has_its_three_sections_together(data: dict[str, Any], missing: list[str]) -> None:
    assert [rule.key for rule in broken(data)] == missing


def test_an_override_is_of_a_tmp_folder_in_any_spelling() -> None:
    assert told(scheduling={"tmp_overrides": {"/mnt/tmp/00/": {}, "/mnt//tmp/00": {}}}) == [
        "scheduling.tmp_overrides./mnt//tmp/00 is the same folder as /mnt/tmp/00/. Keep one of the two."
    ]
    assert told(scheduling={"tmp_overrides": {"/mnt/tpm/00": {}, "/elsewhere": {}}}) == [
        "scheduling.tmp_overrides./mnt/tpm/00 is not in directories.tmp, and has no effect. "
        "Did you mean /mnt/tmp/00?",
        "scheduling.tmp_overrides./elsewhere is not in directories.tmp, and has no effect. "
        "Add it there, or remove it here.",
    ]


def test_what_0_5_3_took_no_notice_of_is_a_warning() -> None:
    found = broken(
        {
            **PLOTTER,
            "scheduling": {"tmp_overrides": {"/mnt/tmp/03": {"tmpdir_max_jobs": 2}}},
            "commands": {"interactive": {"autostart_plotting": False, "autostart_archiving": True}},
        }
    )
    assert [(rule.key, rule.level) for rule in found] == [
        ("scheduling.tmp_overrides./mnt/tmp/03", Level.WARNING),
        ("commands.interactive.autostart_plotting", Level.WARNING),
    ]
    assert "plotman pause plotting" in found[1].cure


@pytest.mark.parametrize(
    ("archiving", "lines"),
    [
        ({}, []),
        ({"target": "harvester", "harvesters": ["h"]}, []),
        ({"target": "local_rsync", "env": {"site_root": "/s"}}, []),
        (
            {"target": "rsyncd", "env": {"user": "u", "site_root": "/s"}},
            [
                "archiving.env.host is missing; target rsyncd needs it. Add it.",
                "archiving.env.site is missing; target rsyncd needs it. Add it.",
            ],
        ),
        (
            {"target": "local_rsync"},
            ["archiving.env.site_root is missing; target local_rsync needs it. Add it."],
        ),
        (
            {"target": "local_rsync", "env": {"site_root": None}},
            ["archiving.env.site_root is missing; target local_rsync needs it. Add it."],
        ),
        (
            {"target": "local_rsync", "env": {"site_root": "/s"}, "harvesters": ["h"]},
            [
                "archiving.harvesters has no meaning with target local_rsync. "
                "Remove it, or write target: harvester."
            ],
        ),
        ({"target": "havester"}, ["archiving.target 'havester' is not a target. Did you mean harvester?"]),
        (
            {"target": "zzz"},
            ["archiving.target 'zzz' is not a target. Write one of harvester, local_rsync, rsyncd."],
        ),
        (
            {
                "target": "m",
                "target_definitions": {"m": {"env": {"a": None, "b": ""}, "transfer_path": "/x"}},
            },
            [
                "archiving.target_definitions.m.disk_space_path is missing, and so is disk_space_script. "
                "Add one of them.",
                "archiving.env.a is missing; target m needs it. Add it.",
            ],
        ),
    ],
)  # fmt: skip
def test_the_target_is_there_and_has_what_it_needs(archiving: dict[str, Any], lines: list[str]) -> None:
    assert told(archiving=archiving) == lines


@pytest.mark.parametrize(
    "junk", [None, 3, "x", ["x"], {3: 4}, {"tmp": 3}, {"target": []}, {"tmp_overrides": [1]}]
)
@pytest.mark.parametrize("section", ["directories", "scheduling", "plotting", "archiving"])
def test_the_rules_hold_their_peace_about_what_the_models_refuse(section: str, junk: object) -> None:
    assert all("missing" in line for line in told(**{section: junk}))


@pytest.mark.parametrize(
    ("farm", "keys"),
    [
        ({}, []),
        ({"flower_address": "127.0.0.1"}, []),
        ({"flower_address": "localhost"}, []),
        ({"flower_address": "::1"}, []),
        ({"flower_address": "0.0.0.0"}, ["farm.flower_address"]),
        ({"flower_address": "192.168.1.5"}, ["farm.flower_address"]),
        ({"flower_address": "plotter1"}, ["farm.flower_address"]),
        ({"flower_address": "0.0.0.0", "flower_auth": "a:b"}, []),
        ({"flower_address": "0.0.0.0", "flower": False}, []),
        ({"flower_address": "0.0.0.0", "broker": "redis://plotter1"}, []),
        (
            {"flower_address": "0.0.0.0", "broker": "redis://plotter1", "flower": True},
            ["farm.flower_address"],
        ),
    ],
)
def test_flower_listens_beyond_this_machine_only_with_a_password(
    farm: dict[str, Any], keys: list[str]
) -> None:
    assert [rule.key for rule in broken({**PLOTTER, "farm": farm})] == keys
