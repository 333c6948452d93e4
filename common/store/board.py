"""The notice board: writes and reads snapshots, orders, moves, tickets and waits; EventStream its events."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self, cast

import redis

from common.model.address import masked
from common.model.pending import PendingMove, PendingOrder
from common.model.snapshot import Snapshot, Wait, Waits
from common.model.ticket import Ticket
from common.names import (
    ADMITTED_LIFETIME,
    LAST_WORD_TTL,
    ORDER_LIFETIME,
    SHARED_EXCHANGES,
    SNAPSHOT_TTL,
    TICKET_LIFETIME,
    Keys,
    Role,
    bindings,
    node,
    queue,
)
from common.store.board_reader import ABOUT, WrongType, waits_kind
from common.store.connection import client, readable_errors, typed
from common.store.counts import Counts, read_counts
from common.store.decode import Spoilt
from common.store.event_stream import EventStream
from common.store.incremental_reader import IncrementalReader, healed_names
from common.store.lease import Lease
from common.store.notifications import NotificationClaims

log = logging.getLogger(__name__)


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


class Board(EventStream):
    """The notice board over redis-py. All methods raise BrokerError if Redis does not answer or refuses."""

    def __init__(self, redis_client: redis.Redis, url: str) -> None:
        super().__init__(redis_client, url)
        self._changed: dict[str, str] = {}  # by node: time of its last snapshot that was decisive
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

    def may_order(self) -> bool:
        """Whether this user of Redis may order plotters, by deleting the queue of a host without a name.

        No host is without a name. Users of Redis may not ask for their own rights.
        """
        with readable_errors(self._url):
            try:
                self._redis.delete(queue(Role.PLOTTER, ""))
            except redis.exceptions.NoPermissionError:
                return False
        return True

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

    # What all machines share.

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


def _raise_any(answers: Iterable[object], besides: type[redis.RedisError]) -> None:
    """Raise the first error among the answers of a pipeline that is not of the kind `besides`."""
    for answer in answers:
        if isinstance(answer, redis.RedisError) and not isinstance(answer, besides):
            raise answer


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
