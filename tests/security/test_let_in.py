"""Who gets to the server at all, and where the passwords lie that let them in."""

from __future__ import annotations

import pytest
import redis

from tests.support.secured import Secured


def test_nobody_is_let_in_without_name_and_password(secured: Secured) -> None:
    bare = secured.url("p1").replace(secured.url("p1").split("//")[1].split("@")[0] + "@", "")
    with redis.Redis.from_url(bare) as stranger, pytest.raises(redis.RedisError, match=r"(?i)auth"):
        stranger.ping()


def test_the_files_hold_passwords_only_where_they_must(secured: Secured) -> None:
    passwords = secured.passwords()
    assert len(passwords) == len(set(passwords)) == 6
    for path in secured.folder.rglob("*"):
        assert (
            path.stat().st_mode & 0o077 == 0
            or path.is_relative_to(secured.folder / "data")
            or (path.name == "redis.log")
        )
        if path.is_file() and path.parent.name != "machines":
            assert not any(password.encode() in path.read_bytes() for password in passwords), path
