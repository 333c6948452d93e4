"""The notice board's stream of events: writes and reads it, whatever else is written to it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import redis

from common.model.snapshot import Event
from common.names import EVENTS_MAX, Keys, is_host_name
from common.store.board_reader import BoardReader
from common.store.connection import BLOCK_MAX_S, readable_errors, typed
from common.store.counts import count
from common.store.decode import Unreadable, read
from common.store.farm_clock import CLOCK

_CLOCK_STEP_S = 60.0  # by which Redis' clock may be set back
_BROKEN_PAUSE_S = 0.5
_TRIMMED_PAUSE_MS = 1000
# Entries of the stream of events: read at once, the first time and at most; how long garbage is read beyond
# the time that a caller waits; and the longest event that is parsed, in characters.
_FEW_ENTRIES, _MANY_ENTRIES = 10, 100
_GARBAGE_S = 0.5
_LONGEST_EVENT = 1 << 15
# The last id of the stream, which an older file of users does not show, and the number of entries among the
# newest that were too large, which nobody else could read. Older files of users permit no XDEL.
_HEAL_EVENTS = """
local last, about = '', redis.pcall('XINFO', 'STREAM', KEYS[1])
for index = 1, #about, 2 do
  if about[index] == 'last-generated-id' then last = about[index + 1] end
end
local large, newest = {}, '+'
for _ = 1, tonumber(ARGV[2]) do
  local entries = redis.call('XREVRANGE', KEYS[1], newest, '-', 'COUNT', ARGV[3])
  for _, entry in ipairs(entries) do
    local bytes = 0
    for _, text in ipairs(entry[2]) do bytes = bytes + #text end
    if bytes > tonumber(ARGV[1]) then large[#large + 1] = entry[1] end
  end
  if #entries < tonumber(ARGV[3]) then break end
  newest = '(' .. entries[#entries][1]
end
for _, id in ipairs(large) do
  if type(redis.pcall('XDEL', KEYS[1], id)) == 'table' then
    redis.call('DEL', KEYS[1])
    break
  end
end
return {last, #large}
"""


class EventStream(BoardReader):
    """Events, in order; each wakes beat. All methods raise BrokerError if Redis does not answer."""

    def __init__(self, redis_client: redis.Redis, url: str) -> None:
        self._redis = redis_client
        self._url = url
        self._passed: dict[str, str] = {}  # id -> id of the last one after it, if no event lies between them

    def tell(self, event: Event) -> None:
        """Append an event to the stream, and count it."""
        with readable_errors(self._url), self._redis.pipeline(transaction=False) as pipe:
            pipe.xadd(Keys.EVENTS, {"event": event.model_dump_json()}, maxlen=EVENTS_MAX, approximate=True)
            count(pipe, event)
            # The ACL of an older farm may forbid to count. The event must not be sent again for that.
            first = pipe.execute(raise_on_error=False)[0]
            if isinstance(first, redis.RedisError):
                raise first

    def last_event_id(self) -> str:
        """Id of the newest event: the place in the stream after which future events follow."""
        with readable_errors(self._url):
            newest = cast("list[Any]", self._redis.xrevrange(Keys.EVENTS, max=self._latest_id(), count=1))
        return str(newest[0][0]) if newest else "0"

    def heal_events(self, thorough: bool) -> str:
        """Delete what others wrote to the stream of events so that it cannot be read any more: an id of the
        future, after which no event could follow, and entries so large that Redis closes the connection of
        each reader. Needs the right to run scripts.

        Args:
            thorough: whether to look at each entry, and not at the last id only.

        Returns:
            What was deleted and why; "" for nothing.
        """
        batches = str(EVENTS_MAX // _FEW_ENTRIES if thorough else 0)
        limits = (str(4 * _LONGEST_EVENT), batches, str(_FEW_ENTRIES))
        with readable_errors(self._url):
            last, large = cast("tuple[str, int]", self._redis.eval(_HEAL_EVENTS, 1, Keys.EVENTS, *limits))
            if last and not self._is_credible(last):
                self.measure_clock()  # it may have been set
                if not self._is_credible(last) and self._redis.delete(Keys.EVENTS):
                    return "it had an id of the future, and is deleted"
        return f"{large} entries were larger than any event, and are deleted" if large else ""

    def events(self, after: str, wait_s: float = 0, most: int = 1000) -> list[tuple[str, Event]]:
        """Events after an id, the oldest first. Others than plotman's are left out, and wake no caller.

        Args:
            after: id of an event.
            wait_s: how long to wait for the first one, in seconds.
            most: largest number of events.
        """
        until_s = time.monotonic() + min(wait_s, BLOCK_MAX_S)
        passed = self._passed.get(after, after)
        found: list[tuple[str, Event]] = []
        count = _FEW_ENTRIES
        while time.monotonic() < until_s + _GARBAGE_S:
            block = None if found else max(0, int((until_s - time.monotonic()) * 1000)) or None
            items = self._read_stream(passed, count, block)
            if items is None:
                break
            if not items:  # all after `passed` were trimmed; XREAD would answer so at once, again and again
                if block is None:
                    break
                # Only to wait: what was added before this call is read from `passed`.
                self._read_stream("$", 1, min(block, _TRIMMED_PAUSE_MS))
                continue
            found += self._readable(items)
            if not self._is_credible(str(items[-1][0])):
                self.measure_clock()
                if not found:  # nothing follows until beat has deleted the stream
                    time.sleep(max(0.0, min(until_s - time.monotonic(), _BROKEN_PAUSE_S)))
                break
            passed = str(items[-1][0])
            if not found:
                self._passed = {after: passed}
            if len(found) >= most or (found and len(items) < count):
                break
            count = _next_count(count, items)
        return found[:most]

    def newest_events(self, most: int) -> list[tuple[str, Event]]:
        """The last `most` events, oldest first; fewer if others wrote garbage after them."""
        found: list[tuple[str, Event]] = []
        until_s, last, count = time.monotonic() + BLOCK_MAX_S, str(self._latest_id()), _FEW_ENTRIES
        while len(found) < most and time.monotonic() < until_s:
            with readable_errors(self._url):
                items = cast("list[Any]", self._redis.xrevrange(Keys.EVENTS, max=last, count=count))
            found += self._readable(items)
            if len(items) < count:
                break
            last, count = f"({items[-1][0]}", _next_count(count, items)
        return found[:most][::-1]

    def _read_stream(self, after: str, count: int, block_ms: int | None) -> list[Any] | None:
        """Entries of the stream; None if none came."""
        with readable_errors(self._url):
            answer = cast("Any", self._redis.xread({Keys.EVENTS: after}, block=block_ms, count=count))
        if not answer:
            return None
        return cast("list[Any]", answer[0][1] if isinstance(answer, list) else next(iter(answer.values())))

    def _readable(self, items: Iterable[tuple[str, Mapping[str, str]]]) -> list[tuple[str, Event]]:
        """The events that a plotman wrote."""
        found = []
        for event_id, fields in items:
            text = fields.get("event", "")
            if len(text) > _LONGEST_EVENT:
                continue
            try:
                event = read(Event, text)
            except Unreadable:
                continue
            if self._is_credible(event_id) and is_host_name(event.host):
                found.append((event_id, event))
        return found

    def _is_credible(self, event_id: str) -> bool:
        """Whether Redis may have chosen this id: its time in ms."""
        return int(event_id.partition("-")[0]) <= self._latest_id()

    def _latest_id(self) -> int:
        """The latest time of an event's id, in ms of Redis' clock."""
        if CLOCK.due:
            self.measure_clock()
        return int((CLOCK.now().timestamp() + _CLOCK_STEP_S) * 1000)

    def _ask(self, *commands: Sequence[str]) -> list[Any]:
        with readable_errors(self._url), self._redis.pipeline(transaction=False) as pipe:
            for command in commands:
                pipe.execute_command(*command)  # type: ignore[no-untyped-call]
            return typed(pipe.execute(raise_on_error=False))


def _next_count(count: int, items: Iterable[tuple[str, Mapping[str, str]]]) -> int:
    """How many entries of the stream to read next: of large ones, which any worker may write, a few."""
    characters = sum(len(text) for _, fields in items for text in fields.values())
    return _FEW_ENTRIES if characters > _LONGEST_EVENT * _FEW_ENTRIES else min(4 * count, _MANY_ENTRIES)
