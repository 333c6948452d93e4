"""Counters of events, kept in Redis so that they outlive the processes that read them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import redis

from common.model.snapshot import Event
from common.names import FREQUENT_EVENTS, Keys, is_host_name

_BYTES = "bytes"
_NUMBER = re.compile(r"-?[0-9]{1,19}")  # what HINCRBY makes


@dataclass(frozen=True)
class Counts:
    """Counters by (kind of event, host). bytes_: sum of the sizes that the events state."""

    events: Mapping[tuple[str, str], int]
    bytes_: Mapping[tuple[str, str], int]


def count(pipe: redis.client.Pipeline, event: Event) -> None:
    """Add the counting of an event to a pipeline."""
    if event.kind in FREQUENT_EVENTS:
        return
    pipe.hincrby(Keys.COUNTS, f"{event.kind} {event.host}", 1)
    if event.size_bytes is not None:
        pipe.hincrby(Keys.COUNTS, f"{_BYTES} {event.kind} {event.host}", event.size_bytes)


def read_counts(fields: Mapping[str, str]) -> Counts:
    """Read the fields of the hash; fields of another form are left out, as any worker may add some."""
    events: dict[tuple[str, str], int] = {}
    bytes_: dict[tuple[str, str], int] = {}
    for name, number in fields.items():
        if _NUMBER.fullmatch(number) is None:
            continue
        match name.split(" "):
            case [kind, host] if _is_pair(kind, host):
                events[kind, host] = int(number)
            case ["bytes", kind, host] if _is_pair(kind, host):
                bytes_[kind, host] = int(number)
    return Counts(events, bytes_)


def _is_pair(kind: str, host: str) -> bool:
    return re.fullmatch(r"[a-z-]{1,40}", kind) is not None and is_host_name(host)
