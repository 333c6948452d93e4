"""Start tokens: fencing tokens that say which start of a plotter host is due next.

A token is `<incarnation>:<n>`. n counts the jobs that have started on the host, no matter who started them;
the incarnation changes with each start of its plotter worker. An order names the token at which it is due and
is void at any other, so that two orders with one token start one plot.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

_MOST_DIGITS = 18  # Python refuses to read numbers of thousands of digits


def next_token(token: str, starts: int) -> str:
    """The token after `starts` more jobs have started: ("a1:7", 2) -> "a1:9"; 0 gives `token` itself."""
    incarnation, count = split(token)
    return f"{incarnation}:{count + starts}" if starts else token


def is_due(token: str, current: str) -> bool:
    """Whether a host at `current` can still carry out an order for `token`: now, or after earlier orders."""
    incarnation, count = split(token)
    incarnation_now, count_now = split(current)
    return incarnation == incarnation_now and count >= count_now


def free_tokens(current: str, taken: Iterable[str]) -> Iterator[str]:
    """Yield the tokens from `current` on that no order has.

    Gaps come first: the host carries out an order behind a gap only after the gap is filled.
    """
    held = set(taken)
    starts = 0
    while True:
        token = next_token(current, starts)
        if token not in held:
            yield token
        starts += 1


def split(token: str) -> tuple[str, int]:
    """Return (incarnation, n).

    Any other text counts as the first token of an incarnation of its own: one host's text must not stop the
    decisions for all others.
    """
    incarnation, colon, count = token.rpartition(":")
    is_count = colon and count.isascii() and count.isdigit() and len(count) <= _MOST_DIGITS
    return (incarnation, int(count)) if is_count else (token, 0)
