"""What of a changed plotman.yaml holds at once, and what at the next start."""

from __future__ import annotations

from typing import Any

import pytest

from common.config import Config
from common.config.watch import compared, sentence
from tests.support.sections import FARMER, SCHEDULING


def settings(**changes: dict[str, Any] | None) -> Config:
    """A machine that plots, sends and farms. changes: section -> keys, or None to leave it out."""
    content: dict[str, Any] = {
        "version": [2],
        "farm": {"host": "p1", "broker": "redis://:old@r:6379/0"},
        "directories": {"tmp": ["/tmp/1", "/tmp/2"], "dst": ["/dst"]},
        "scheduling": SCHEDULING | {"global_max_jobs": 2, "global_stagger_m": 30},
        "plotting": {"type": "madmax", "farmer_pk": FARMER, "pool_pk": FARMER},
        "archiving": {"concurrency": 1},
        "harvester": {"drives": ["/farm/*"]},
    }
    for section, keys in changes.items():
        if keys is None:
            del content[section]
        else:
            content[section] = content.get(section, {}) | keys
    return Config.model_validate(content)


@pytest.mark.parametrize(
    ("changes", "live", "at_start"),
    [
        ({}, [], []),
        ({"scheduling": {"global_stagger_m": 5}}, ["scheduling.global_stagger_m"], []),
        ({"directories": {"tmp": ["/tmp/2"], "tmp2": "/t2"}}, ["directories.tmp", "directories.tmp2"], []),
        ({"plotting": {"type": "chiapos"}}, ["plotting.type"], []),
        ({"plotting": {"madmax": {"n_threads": 9}}}, ["plotting.madmax.n_threads"], []),
        ({"farm": {"max_jobs": 3}}, ["farm.max_jobs"], []),
        ({"farm": {"broker": "redis://:new@r:6379/0"}}, [], ["farm.broker"]),
        ({"farm": {"host": "p2", "state": "/s"}}, [], ["farm.host", "farm.state"]),
        ({"archiving": {"bwlimit_bytes_s": 5000}}, ["archiving.bwlimit_bytes_s"], []),
        (
            {"archiving": {"concurrency": 4, "harvesters": ["h"]}},
            ["archiving.harvesters"],
            ["archiving.concurrency"],
        ),
        (
            {"harvester": {"receiver_port": 1024, "margin_bytes": 7}},
            ["harvester.margin_bytes"],
            ["harvester.receiver_port"],
        ),
        ({"notifications": {"targets": {"me": {"command": ["true"]}}}}, [], ["notifications.targets"]),
        ({"harvester": None}, [], ["harvester"]),
        ({"archiving": None}, [], ["archiving"]),
    ],
)
def test_a_change_is_named_and_sorted(
    changes: dict[str, dict[str, Any] | None], live: list[str], at_start: list[str]
) -> None:
    found = compared(settings(), settings(**changes))
    assert list(found.live) == live
    assert list(found.at_start) == at_start


def test_what_waits_for_a_start_keeps_its_value_beside_what_changes() -> None:
    held = compared(
        settings(),
        settings(archiving={"concurrency": 4, "bwlimit_bytes_s": 5000}, farm={"host": "p2"}, harvester=None),
    ).settings
    assert held.host == "p1"
    assert held.harvester == settings().harvester
    assert held.archiving is not None
    assert (held.archiving.concurrency, held.archiving.bwlimit_bytes_s) == (1, 5000)
    assert not compared(held, settings(archiving={"bwlimit_bytes_s": 5000})).live, (
        "back again, all is as it was"
    )


def test_who_is_told_changes_at_once_while_anybody_is() -> None:
    me, you = ({name: {"command": ["true"]}} for name in ("me", "you"))
    before = settings(notifications={"targets": me})
    found = compared(before, settings(notifications={"targets": me | you}))
    assert (found.live, found.at_start) == (("notifications.targets",), ())
    found = compared(before, settings(notifications={"targets": {}}))
    assert (found.live, found.at_start) == ((), ("notifications.targets",))


def test_the_sentence_names_keys_and_never_values() -> None:
    found = compared(settings(), settings(farm={"broker": "redis://:new@r:6379/0", "state": "/s"}))
    assert sentence(found.at_start) == (
        "plotman.yaml: farm.broker and farm.state have changed, which takes effect when `plotman up` is "
        "restarted."
    )
