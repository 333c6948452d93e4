"""Start tokens: which start of a host is due."""

from __future__ import annotations

from itertools import islice

import pytest

from beat.policy.start_tokens import free_tokens, is_due, next_token


@pytest.mark.parametrize(
    ("token", "starts", "then"),
    [("a:7", 0, "a:7"), ("a:7", 1, "a:8"), ("h:1:9", 2, "h:1:11"), ("odd", 0, "odd"), ("odd", 1, "odd:1")],
)
def test_each_start_advances_the_token_by_one(token: str, starts: int, then: str) -> None:
    assert next_token(token, starts) == then


@pytest.mark.parametrize(
    ("token", "current", "due"),
    [
        ("a:7", "a:7", True),
        ("a:9", "a:7", True),  # when the two before it have started
        ("a:10", "a:9", True),  # counts are numbers, not text
        ("a:6", "a:7", False),  # another plot was started with it
        ("b:7", "a:7", False),  # the worker was started anew
        ("odd", "odd", True),
        ("odd", "even", False),
        # Python reads no number of 5000 digits, and any plotter may write one.
        pytest.param("a:7", f"a:{'9' * 5000}", False, id="5000 digits now"),
        pytest.param(f"a:{'9' * 5000}", "a:7", False, id="5000 digits ordered"),
    ],
)
def test_an_order_is_void_once_its_token_has_passed(token: str, current: str, due: bool) -> None:
    assert is_due(token, current) is due


def test_the_tokens_that_no_order_holds_are_given_away_gaps_first() -> None:
    assert list(islice(free_tokens("a:7", ["a:8"]), 3)) == ["a:7", "a:9", "a:10"]
