"""The notice board: writes and reads snapshots, orders, moves, tickets, waits and events."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self, cast

import redis

from common.model.address import masked
from common.model.pending import PendingMove, PendingOrder
from common.model.snapshot import Event, Snapshot, Wait, Waits
from common.model.ticket import Ticket
from common.names import (
    ADMITTED_LIFETIME,
    EVENTS_MAX,
    LAST_WORD_TTL,
    ORDER_LIFETIME,
    SHARED_EXCHANGES,
    SNAPSHOT_TTL,
    TICKET_LIFETIME,
    Keys,
    Role,
    bindings,
    is_host_name,
    node,
    queue,
)
from common.store.board_reader import ABOUT, BoardReader, WrongType, waits_kind
from common.store.connection import BLOCK_MAX_S, client, readable_errors, typed
from common.store.counts import Counts, count, read_counts
from common.store.decode import Spoilt, Unreadable, read
from common.store.farm_clock import CLOCK
from common.store.incremental_reader import IncrementalReader, healed_names
from common.store.lease import Lease
from common.store.notifications import NotificationClaims

log = logging.getLogger(__name__)

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

# kombu's tables of listeners that are too large. Older files of users permit neither SCARD nor MEMORY.
_LISTENERS_MAX, _LISTENERS_MAX_BYTES = 10_000, 4 << 20
_HEAL_LISTENERS = """
local deleted = {}
for _, table in ipairs(KEYS) do
  local count = redis.pcall('SCARD', table)
  local is_large = type(count) == 'number' and count > tonumber(ARGV[1])
  if type(count) == 'number' and not is_large then
    local bytes = redis.pcall('MEMORY', 'USAGE', table, 'SAMPLES', '0')
    is_large = type(bytes) == 'number' and bytes > tonumber(ARGV[2])
  end
  if is_large then
    redis.call('DEL', table)
    deleted[#deleted + 1] = table
  end
end
return deleted
"""

# In the note of an admission, before the path, which is absolute.
_EVACUATES = "evacuated "
_WAITS_MOST_BYTES = 4 << 20  # of one host


class Board(BoardReader):
    """The notice board over redis-py. All methods raise BrokerError if Redis does not answer or refuses."""

    def __init__(self, redis_client: redis.Redis, url: str) -> None:
        self._redis = redis_client
        self._url = url
        self._changed: dict[str, str] = {}  # by node: time of its last snapshot that was decisive
        self._passed: dict[str, str] = {}  # id -> id of the last one after it, if no event lies between them
        self.spoilt = Spoilt()

    @classmethod
    def connect(cls, url: str, patience_s: float | None = None, kept: bool = False) -> Self:
        """Make a board that connects with its first command.

        Args:
            url: redis://, rediss:// or unix://.
            patience_s: how long a command may take, in seconds; None: the default timeouts.
            kept: whether the server shall keep its connections though others take too much memory.
        """
        return cls(client(url, patience_s, kept), url)

    def __repr__(self) -> str:
        return f"Board({masked(self._url)})"

    @property
    def is_by_tls(self) -> bool | None:
        """Whether Redis is reached by TLS; None: by no network."""
        scheme = self._url.partition("://")[0]
        return None if scheme == "unix" else scheme == "rediss"

    def ping(self) -> None:
        with readable_errors(self._url):
            self._redis.ping()

    def close(self) -> None:
        self._redis.close()

    def lease(self, token: str) -> Lease:
        """The lease to decide, for the beat with this token."""
        return Lease(self._redis, self._url, token)

    def alarms(self) -> NotificationClaims:
        """State that the notifiers of the farm share."""
        return NotificationClaims(self._redis, self._url)

    def queue_lengths(self, queues: Sequence[str]) -> dict[str, int]:
        """Number of waiting messages in each queue."""
        with readable_errors(self._url), self._redis.pipeline(transaction=False) as pipe:
            for name in queues:
                pipe.llen(name)
            answers = typed(pipe.execute(raise_on_error=False))
        return {name: length for name, length in zip(queues, answers, strict=True) if isinstance(length, int)}

    def reader(self) -> IncrementalReader:
        """A reader for a process that reads the whole board often."""
        return IncrementalReader(self._redis, self._url)

    # Snapshots: one per role and host, replaced as a whole.

    def put_snapshot(
        self, role: Role, snapshot: Snapshot, decisive: bool = True, mark: str = "1"
    ) -> str | None:
        """Replace the snapshot of a role of a host, and renew its sign of life. A worker that is stopped has
        none any more, so that nothing is ordered there.

        Args:
            role: of the process.
            snapshot: the whole snapshot.
            decisive: False if nothing changed that decisions depend on: beat then does not read it again.
            mark: identifies the process that writes.

        Returns:
            The mark of the process that wrote before; None if none did within SNAPSHOT_TTL.
        """
        key, alive, name = (
            Keys.snapshot(role, snapshot.host),
            Keys.alive(role, snapshot.host),
            node(role, snapshot.host),
        )
        if decisive:
            self._changed[name] = snapshot.at.isoformat()
        sign = f"{self._changed.get(name, '')} {mark}"
        with readable_errors(self._url), self._redis.pipeline(transaction=False) as pipe:
            pipe.set(key, snapshot.model_dump_json(), ex=LAST_WORD_TTL)
            # After it: a reader that sees the new time finds the new snapshot. Two commands: SET with GET
            # fails on a key of another type.
            pipe.get(alive)
            if snapshot.stopped:
                pipe.delete(alive)  # another process of this host renews it with its next snapshot
            else:
                pipe.set(alive, sign, ex=SNAPSHOT_TTL)
            if decisive:
                pipe.hset(Keys.HOSTS, name, snapshot.at.isoformat())
            before = typed(pipe.execute(raise_on_error=False))[1]
        return before.partition(" ")[2] if isinstance(before, str) else None

    def sign_of_life(self, role: Role, host: str) -> tuple[str, str] | None:
        """When a role of a host last published something that matters, which it does at each renewal, and its
        mark; None if it has been silent for SNAPSHOT_TTL."""
        with readable_errors(self._url):
            sign = self._redis.get(Keys.alive(role, host))
        if not isinstance(sign, str):
            return None
        at, _, mark = sign.partition(" ")
        return at, mark

    def withdraw(self, role: Role, host: str) -> None:
        """Delete the snapshot of a role of this host that runs only at times, after its process has stopped.
        Beat then removes its name."""
        with readable_errors(self._url):
            self._redis.delete(Keys.snapshot(role, host), Keys.alive(role, host))

    def forget_host(self, host: str) -> bool:
        """Remove a host with all its keys and waiting messages. Returns False, and does nothing, while one of
        its roles is alive."""
        signs = [Keys.alive(role, host) for role in Role]
        snapshots = [Keys.snapshot(role, host) for role in Role]
        with readable_errors(self._url):
            if self._redis.exists(*signs):
                return False
            with self._redis.pipeline(transaction=True) as pipe:
                # A host that returns at this moment writes its next snapshot within SNAPSHOT_RENEW.
                pipe.delete(*snapshots, Keys.orders(host), Keys.moves(host), Keys.ordered(host))
                pipe.delete(*(queue(role, host) for role in Role))
                pipe.hdel(Keys.HOSTS, *(node(role, host) for role in Role))
                pipe.hdel(Keys.WAITS, host)
                pipe.execute()
        return True

    def heal_host(self, host: str) -> list[str]:
        """Delete the keys of a host that are of another type than plotman writes, and so keep others from
        sending to it. Returns them."""
        queues = [queue(role, host) for role in Role]
        tables = [table for name in queues for table in bindings(name)]
        keys = [Keys.orders(host), Keys.moves(host), Keys.ordered(host), *queues, *tables]
        with readable_errors(self._url), self._redis.pipeline(transaction=False) as pipe:
            for key in keys:
                if key in queues:
                    pipe.llen(key)
                elif key in tables:
                    pipe.smembers(key)
                else:
                    pipe.hlen(key)
            answers = typed(pipe.execute(raise_on_error=False))
            wrong = [key for key, answer in zip(keys, answers, strict=True) if isinstance(answer, WrongType)]
            if wrong:
                self._redis.delete(*wrong)
        return wrong

    # Orders: sent by beat, in no snapshot yet.

    def put_order(self, host: str, order: PendingOrder) -> None:
        key = Keys.orders(host)
        with readable_errors(self._url), self._redis.pipeline(transaction=False) as pipe:
            pipe.hset(key, order.task_id, order.model_dump_json())
            pipe.expire(key, ORDER_LIFETIME)
            pipe.execute()

    def drop_orders(self, host: str, task_ids: Iterable[str]) -> None:
        if ids := list(task_ids):
            with readable_errors(self._url):
                self._redis.hdel(Keys.orders(host), *ids)

    def orders(self, hosts: Sequence[str]) -> dict[str, list[PendingOrder]]:
        return self._hashes(PendingOrder, [(host, Keys.orders(host)) for host in hosts])

    # Moves: plots on their way to a drive, renewed by the task that works on them.

    def put_move(self, host: str, move: PendingMove) -> None:
        """Keep a move of the plotter `host`. The record outlives its expiry, so attempts stay known."""
        key = Keys.moves(host)
        with readable_errors(self._url), self._redis.pipeline(transaction=False) as pipe:
            pipe.hset(key, move.path, move.model_dump_json())
            pipe.expire(key, LAST_WORD_TTL)
            pipe.execute()

    def drop_move(self, host: str, path: str) -> None:
        with readable_errors(self._url), self._redis.pipeline(transaction=False) as pipe:
            pipe.hdel(Keys.moves(host), path)
            pipe.hdel(Keys.ordered(host), path)  # the ACL file of an older release may forbid it
            _raise_any(pipe.execute(raise_on_error=False), redis.exceptions.NoPermissionError)

    def put_ordered(self, host: str, path: str, move: str, harvester: str) -> bool:
        """Let the plotter `host` know that beat ordered this move. Returns False if this user may not, by the
        ACL file of an older release."""
        key = Keys.ordered(host)
        with readable_errors(self._url), self._redis.pipeline(transaction=False) as pipe:
            pipe.hset(key, path, f"{move} {harvester}")
            pipe.expire(key, LAST_WORD_TTL)
            try:
                pipe.execute()
            except redis.exceptions.NoPermissionError:
                return False
        return True

    def is_ordered(self, host: str, path: str, move: str | None, harvester: str) -> bool:
        """Whether beat ordered this move of a plot, and no later one."""
        with readable_errors(self._url):
            return cast("str | None", self._redis.hget(Keys.ordered(host), path)) == f"{move} {harvester}"

    def put_admitted(
        self, host: str, plotter: str, move: str, path: str, digest: str, evacuates: bool = False
    ) -> None:
        """Let `plotter` know that the harvester `host` has taken in these bytes as its plot, by this move.

        evacuates: it has looked that its copy is on no evacuated drive. Others may have changed the message
            by which it took the plot in, so this must be its own word.
        """
        text = f"{digest} {_EVACUATES if evacuates else ''}{path}"
        with readable_errors(self._url):
            self._redis.set(Keys.admitted(host, plotter, move), text, ex=ADMITTED_LIFETIME)

    def is_admitted(
        self, host: str, plotter: str, move: str | None, path: str, digest: str, evacuates: bool = False
    ) -> bool:
        """Whether the harvester `host` itself says that it has taken in these bytes as this plot, as in
        `put_admitted`."""
        with readable_errors(self._url):
            found = cast("str | None", self._redis.get(Keys.admitted(host, plotter, move or "")))
        return found == f"{digest} {_EVACUATES if evacuates else ''}{path}"

    # Tickets: access of a plotter to a harvester's receiver.

    def put_ticket(self, host: str, plotter: str, ticket: Ticket) -> None:
        """Leave a ticket of the harvester `host` for a plotter."""
        key = Keys.ticket(host, plotter, ticket.plot_id)
        with readable_errors(self._url):
            self._redis.set(key, ticket.written(), ex=TICKET_LIFETIME)

    def ticket(self, host: str, plotter: str, plot_id: str) -> Ticket | None:
        """The ticket of a plotter for a plot to the harvester `host`. Raises TicketRefused for a malformed
        one, and for one of another plot."""
        with readable_errors(self._url):
            text = cast("str | None", self._redis.get(Keys.ticket(host, plotter, plot_id)))
        return None if text is None else Ticket.read(text, plot_id)

    def drop_ticket(self, host: str, plotter: str, plot_id: str) -> None:
        with readable_errors(self._url):
            self._redis.delete(Keys.ticket(host, plotter, plot_id))

    # Waits of beat.

    def put_waits(
        self, waits: Waits, changed: Mapping[str, Sequence[Wait]] | None = None, gone: Iterable[str] = ()
    ) -> int:
        """Write the waits, all of them or the changed ones.

        Args:
            waits: all waits.
            changed: waits of the hosts whose waits changed; all others stay as they are on the board. None:
                replace everything.
            gone: hosts without waits.

        Returns:
            The number of hosts with waits on the board.
        """
        of_hosts = _by_host(waits.waits) if changed is None else changed
        fields: dict[Any, Any] = {host: _waits_json(host, tuple(own)) for host, own in of_hosts.items()}
        fields[ABOUT] = waits.model_copy(update={"waits": ()}).model_dump_json()
        without = [host for host in gone if host not in of_hosts]
        with readable_errors(self._url), self._redis.pipeline(transaction=True) as pipe:
            if changed is None:
                pipe.delete(Keys.WAITS)
            elif without:
                pipe.hdel(Keys.WAITS, *without)
            pipe.hset(Keys.WAITS, mapping=fields)
            pipe.expire(Keys.WAITS, LAST_WORD_TTL)
            pipe.hlen(Keys.WAITS)
            answers = pipe.execute()
        return int(answers[-1]) - 1

    # Events, in order; each wakes beat.

    def tell(self, event: Event) -> None:
        """Append an event to the stream, and count it."""
        with readable_errors(self._url), self._redis.pipeline(transaction=False) as pipe:
            pipe.xadd(Keys.EVENTS, {"event": event.model_dump_json()}, maxlen=EVENTS_MAX, approximate=True)
            count(pipe, event)
            # The ACL of an older farm may forbid to count. The event must not be sent again for that.
            first = pipe.execute(raise_on_error=False)[0]
            if isinstance(first, redis.RedisError):
                raise first

    def counts(self) -> Counts:
        """Counters of events since Redis was started with its data. They never decrease meanwhile."""
        with readable_errors(self._url):
            return read_counts(cast("dict[str, str]", self._redis.hgetall(Keys.COUNTS)))

    def heal_shared(self) -> None:
        """Delete counters whose names are too long or too many to be read, and kombu's tables of listeners if
        they are too large: each answer to a broadcast reads one. Needs the rights of a scheduler.

        No listener misses its entry: broadcasts and events reach all subscribers, and who asks for answers
        enters itself each time.
        """
        with readable_errors(self._url):
            healed_names(self._redis, Keys.COUNTS, wanted=False)
            tables = [table for exchange in SHARED_EXCHANGES for table in bindings(exchange)]
            limits = (str(_LISTENERS_MAX), str(_LISTENERS_MAX_BYTES))
            deleted = self._redis.eval(_HEAL_LISTENERS, len(tables), *tables, *limits)
        for table in cast("list[str]", deleted):
            log.warning("%s was larger than the listeners of any farm make it: deleted", table)

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


def _raise_any(answers: Iterable[object], besides: type[redis.RedisError]) -> None:
    """Raise the first error among the answers of a pipeline that is not of the kind `besides`."""
    for answer in answers:
        if isinstance(answer, redis.RedisError) and not isinstance(answer, besides):
            raise answer


def _next_count(count: int, items: Iterable[tuple[str, Mapping[str, str]]]) -> int:
    """How many entries of the stream to read next: of large ones, which any worker may write, a few."""
    characters = sum(len(text) for _, fields in items for text in fields.values())
    return _FEW_ENTRIES if characters > _LONGEST_EVENT * _FEW_ENTRIES else min(4 * count, _MANY_ENTRIES)


def _waits_json(host: str, waits: tuple[Wait, ...]) -> bytes:
    """The waits of a host as they are stored: as many as fit, and how many more there are. A host's own words
    are in them, and Redis refuses values of 20 MB."""
    kind, kept = waits_kind(), waits
    while len(text := kind.dump_json(kept)) > _WAITS_MOST_BYTES:
        fewer = kept[: len(kept) // 2]
        reason = f"{len(waits) - len(fewer)} more waits are too large to be shown"
        kept = (*fewer, Wait(host=host, rule="trouble", reason=reason))
    return text


def _by_host(waits: Iterable[Wait]) -> dict[str, list[Wait]]:
    found: dict[str, list[Wait]] = {}
    for wait in waits:
        found.setdefault(wait.host, []).append(wait)
    return found
