"""Unsafe settings of a Redis server."""

from __future__ import annotations

import pytest

from common.model.address import is_loopback
from common.store.server_checks import FindingLevel, Server, server_findings

SOUND = {
    "version": (7, 2, 4),
    "eviction": "noeviction",
    "persistent": True,
    "skew_s": 0.01,
    "open_to_all": False,
    "loopback": False,
}


def found(**changes: object) -> list[tuple[FindingLevel, str]]:
    return [(each.severity, str(each)) for each in server_findings(Server(**(SOUND | changes)))]  # type: ignore[arg-type]


def test_nothing_is_said_of_a_sound_server_nor_of_one_that_tells_nothing() -> None:
    assert found() == []
    assert server_findings(Server()) == ()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"version": (6, 0, 16)}, "version 6.0.16"),
        ({"eviction": "allkeys-lru"}, "`maxmemory-policy noeviction`"),
        ({"open_to_all": True}, "plotman farm secrets"),
        ({"skew_s": -5.1}, "clock is 5s behind Redis'"),
        ({"skew_s": 86_400}, "clock is 1d 0h ahead of Redis'"),
    ],
)
def test_an_unsafe_setting_is_told_with_its_value_or_its_cure(changes: dict[str, object], told: str) -> None:
    ((severity, text),) = found(**changes)
    assert severity is FindingLevel.WARNING
    assert told in text


@pytest.mark.parametrize(
    "changes", [{"version": (6, 2)}, {"skew_s": -5}, {"open_to_all": True, "loopback": True}]
)
def test_what_is_just_within_bounds_is_not_told(changes: dict[str, object]) -> None:
    assert found(**changes) == []


def test_a_server_that_forgets_at_its_restart_is_mentioned_and_no_problem() -> None:
    ((severity, _),) = found(persistent=False)
    assert severity is FindingLevel.NOTE


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("redis://127.0.0.1:6379/0", True),
        ("redis://:secret@localhost/0", True),
        ("rediss://user:secret@[::1]:6379/0", True),
        ("unix:///run/redis.sock", True),
        ("redis+socket:///run/redis.sock", True),
        ("redis://192.168.1.5/0", False),
        ("redis://plotter1/0", False),
    ],
)
def test_loopback_is_told_from_the_url(url: str, loopback: bool) -> None:
    assert is_loopback(url) is loopback
