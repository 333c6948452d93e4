"""Reads notices from JSON: the one place where what other machines wrote enters.

Any machine may write anything into its own keys. A value that no plotman writes costs the host that it
belongs to, and nobody else: it is left out, and `Spoilt` keeps it for operators.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from common.model.bounds import bounded, problems
from common.model.figures import Notice
from common.model.pending import PendingMove, PendingOrder
from common.model.text import cleaned_json, one_line

N = TypeVar("N", bound=Notice)

# A snapshot with 20,000 finished plots.
MOST_CHARACTERS = 8_000_000
# One record: some paths and a sentence.
_CHARACTERS_OF: dict[type[Notice], int] = {PendingMove: 1 << 16, PendingOrder: 1 << 16}
_MOST_PROBLEMS = 3
_LONGEST_REASON = 300
_HOSTS_REMEMBERED = 10_000


class Unreadable(ValueError):
    """A value that cannot be read. `str()` says why in one line, without the value."""


class Spoilt:
    """Values on the board that cannot be read, by the host they belong to and their key."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, str]] = {}

    def add(self, host: str, key: str, why: object) -> None:
        if len(self._found) < _HOSTS_REMEMBERED:
            self._found.setdefault(host, {})[key] = one_line(f"{key} cannot be read: {why}", _LONGEST_REASON)

    def by_host(self) -> dict[str, str]:
        """One sentence for each host; names its keys."""
        return {host: "; ".join(found.values()) for host, found in sorted(self._found.items())}


def read(kind: type[N], text: str, host: str | None = None) -> N:
    """Read a notice.

    Args:
        kind: of the notice.
        text: its JSON.
        host: that must have written it: a notice that names another is refused. None: not checked.

    Raises:
        Unreadable: it has another form than a plotman writes, or names another host.
    """
    try:
        text = cleaned_json(bounded(text, _CHARACTERS_OF.get(kind, MOST_CHARACTERS)))
        notice = kind.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise Unreadable(_reason(error)) from None
    except ValueError as error:
        raise Unreadable(error) from None
    if host is not None and getattr(notice, "host", host) != host:
        raise Unreadable("it names another host")
    return notice


def read_each(kind: type[N], texts: Iterable[str], host: str, key: str, spoilt: Spoilt) -> list[N]:
    """Read the notices of one key; those that cannot be read are left out and added to `spoilt`."""
    found = []
    for text in texts:
        try:
            found.append(read(kind, text))
        except Unreadable as error:
            spoilt.add(host, key, error)
    return found


def read_all(kind: TypeAdapter[tuple[N, ...]], text: str) -> tuple[N, ...]:
    """Read several notices from one text; () if it is unreadable."""
    try:
        return kind.validate_json(cleaned_json(bounded(text, MOST_CHARACTERS)), strict=True)
    except ValueError:
        return ()


def _reason(error: ValidationError) -> str:
    return "; ".join(f"{place or 'it'}: {what}" for place, what in problems(error, _MOST_PROBLEMS))
