"""How often things happened, counted by Redis as they are told: a counter that outlives whoever reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import redis

from common.model.snapshot import Event
from common.names import Keys

_TOO_MANY = frozenset({"plot-phase"})  # of interest for one plot only
_BYTES = "bytes"


@dataclass(frozen=True)
class Counts:
    """Both by (kind of event, host). bytes_: of the plots that those events were about, where they say."""

    events: Mapping[tuple[str, str], int]
    bytes_: Mapping[tuple[str, str], int]


def count(pipe: redis.client.Pipeline, event: Event) -> None:
    """Count the event with the pipeline's next execution."""
    if event.kind in _TOO_MANY:
        return
    pipe.hincrby(Keys.COUNTS, f"{event.kind} {event.host}", 1)
    if event.size_bytes is not None:
        pipe.hincrby(Keys.COUNTS, f"{_BYTES} {event.kind} {event.host}", event.size_bytes)


def read_counts(fields: Mapping[str, str]) -> Counts:
    """From the hash's fields. What is not of our making is left out."""
    events: dict[tuple[str, str], int] = {}
    bytes_: dict[tuple[str, str], int] = {}
    for name, number in fields.items():
        match name.split(" "):
            case [kind, host]:
                events[kind, host] = int(number)
            case ["bytes", kind, host]:
                bytes_[kind, host] = int(number)
    return Counts(events, bytes_)
