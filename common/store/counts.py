"""Counters of events, kept in Redis so that they outlive the processes that read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import redis

from common.model.snapshot import Event
from common.names import Keys

_TOO_MANY = frozenset({"plot-phase"})  # too frequent to count
_BYTES = "bytes"


@dataclass(frozen=True)
class Counts:
    """Counters by (kind of event, host). bytes_: sum of the sizes that the events state."""

    events: Mapping[tuple[str, str], int]
    bytes_: Mapping[tuple[str, str], int]


def count(pipe: redis.client.Pipeline, event: Event) -> None:
    """Add the counting of an event to a pipeline."""
    if event.kind in _TOO_MANY:
        return
    pipe.hincrby(Keys.COUNTS, f"{event.kind} {event.host}", 1)
    if event.size_bytes is not None:
        pipe.hincrby(Keys.COUNTS, f"{_BYTES} {event.kind} {event.host}", event.size_bytes)


def read_counts(fields: Mapping[str, str]) -> Counts:
    """Read the fields of the hash; fields of another form are left out."""
    events: dict[tuple[str, str], int] = {}
    bytes_: dict[tuple[str, str], int] = {}
    for name, number in fields.items():
        match name.split(" "):
            case [kind, host]:
                events[kind, host] = int(number)
            case ["bytes", kind, host]:
                bytes_[kind, host] = int(number)
    return Counts(events, bytes_)
