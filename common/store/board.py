"""The notice board's verbs: put and read snapshots, orders, moves, waits; tell and hear events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self, cast

import redis

from common.model.pending import PendingMove, PendingOrder
from common.model.redis_url import masked
from common.model.snapshot import Event, Snapshot, Wait, Waits
from common.model.ticket import Ticket
from common.names import (
    EVENTS_MAX,
    LAST_WORD_TTL,
    ORDER_LIFETIME,
    SNAPSHOT_TTL,
    TICKET_LIFETIME,
    Keys,
    Role,
    node,
    queue,
)
from common.store.board_reader import ABOUT, BoardReader, waits_kind
from common.store.connection import BLOCK_MAX_S, client, readable_errors
from common.store.counts import Counts, count, read_counts
from common.store.decode import read
from common.store.incremental_reader import IncrementalReader
from common.store.lease import Lease
from common.store.notifications import NotificationClaims


class Board(BoardReader):
    """All methods raise BrokerError when Redis is away or refuses."""

    def __init__(self, redis_client: redis.Redis, url: str) -> None:
        self._redis = redis_client
        self._url = url

    @classmethod
    def connect(cls, url: str, patience_s: float | None = None) -> Self:
        """A board at `url` (redis://, rediss://, unix://). Connects with the first command. patience_s: how
        long a command may take; None: as long as is usual."""
        return cls(client(url, patience_s), url)

    def __repr__(self) -> str:
        return f"Board({masked(self._url)})"

    def ping(self) -> None:
        with readable_errors(self._url):
            self._redis.ping()

    def close(self) -> None:
        self._redis.close()

    def lease(self, token: str) -> Lease:
        """The right to decide, for the beat that calls itself `token`."""
        return Lease(self._redis, self._url, token)

    def alarms(self) -> NotificationClaims:
        """What the notifiers share."""
        return NotificationClaims(self._redis, self._url)

    def queue_lengths(self, queues: Sequence[str]) -> dict[str, int]:
        """Messages that wait in each queue for their worker."""
        with readable_errors(self._url), self._redis.pipeline(transaction=False) as pipe:
            for name in queues:
                pipe.llen(name)
            return dict(zip(queues, cast("list[int]", pipe.execute()), strict=True))

    def reader(self) -> IncrementalReader:
        """Reads the board for a process that decides on it again and again."""
        return IncrementalReader(self._redis, self._url)

    # Snapshots: one per role and host, replaced as a whole.

    def put_snapshot(
        self, role: Role, snapshot: Snapshot, decisive: bool = True, mark: str = "1"
    ) -> str | None:
        """Returns the mark of whoever did so last; None: nobody for SNAPSHOT_TTL.

        decisive: something changed that is decided on, or a while has passed; else it is for people's eyes,
        and beat does not read it. mark: of who puts it up; others read no more of it than that it is there.
        """
        key = Keys.snapshot(role, snapshot.host)
        with readable_errors(self._url), self._redis.pipeline(transaction=False) as pipe:
            pipe.set(key, snapshot.model_dump_json(), ex=LAST_WORD_TTL)
            pipe.set(Keys.alive(role, snapshot.host), mark, ex=SNAPSHOT_TTL, get=True)
            if decisive:  # last, so that whoever sees the new time finds the new snapshot
                pipe.hset(Keys.HOSTS, f"{role}@{snapshot.host}", snapshot.at.isoformat())
            return cast("str | None", pipe.execute()[1])

    def forget_host(self, host: str) -> bool:
        """Strike a host off the list, with all that stands here of it and the messages that wait for it.
        False: one of its roles is alive, and nothing was done."""
        signs = [Keys.alive(role, host) for role in Role]
        snapshots = [Keys.snapshot(role, host) for role in Role]
        with readable_errors(self._url):
            if self._redis.exists(*signs):
                return False
            with self._redis.pipeline(transaction=True) as pipe:
                # One that comes back at this very moment puts its next snapshot up within SNAPSHOT_RENEW.
                pipe.delete(*snapshots, Keys.orders(host), Keys.moves(host))
                pipe.delete(*(queue(role, host) for role in Role))
                pipe.hdel(Keys.HOSTS, *(node(role, host) for role in Role))
                pipe.hdel(Keys.WAITS, host)
                pipe.execute()
        return True

    # Orders: sent by beat, not yet seen in a snapshot.

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

    # Moves: plots under way to a drive, kept alive by whoever works on them.

    def put_move(self, host: str, move: PendingMove) -> None:
        """`host` is the plotter's. The record outlives its expiry, so that attempts are counted on."""
        key = Keys.moves(host)
        with readable_errors(self._url), self._redis.pipeline(transaction=False) as pipe:
            pipe.hset(key, move.path, move.model_dump_json())
            pipe.expire(key, LAST_WORD_TTL)
            pipe.execute()

    def drop_move(self, host: str, path: str) -> None:
        with readable_errors(self._url):
            self._redis.hdel(Keys.moves(host), path)

    # Tickets: what a plotter needs to reach a plot's receiver.

    def put_ticket(self, host: str, ticket: Ticket) -> None:
        """`host` is the plotter's."""
        with readable_errors(self._url):
            self._redis.set(Keys.ticket(host, ticket.plot_id), ticket.written(), ex=TICKET_LIFETIME)

    def ticket(self, host: str, plot_id: str) -> Ticket | None:
        """Raises TicketRefused for one that no harvester writes, and for that of another plot."""
        with readable_errors(self._url):
            text = cast("str | None", self._redis.get(Keys.ticket(host, plot_id)))
        return None if text is None else Ticket.read(text, plot_id)

    def drop_ticket(self, host: str, plot_id: str) -> None:
        with readable_errors(self._url):
            self._redis.delete(Keys.ticket(host, plot_id))

    # What beat waits for.

    def put_waits(
        self, told: Waits, changed: Mapping[str, Sequence[Wait]] | None = None, gone: Iterable[str] = ()
    ) -> int:
        """Put up what is waited for; returns for how many hosts something stands there then.

        changed, gone: by host, what is new since the last time and who waits no more; all others stand as
        they are, and of `told` only its time counts. None: `told` is all there is.
        """
        of_hosts = _by_host(told.waits) if changed is None else changed
        kind = waits_kind()
        fields: dict[Any, Any] = {host: kind.dump_json(tuple(waits)) for host, waits in of_hosts.items()}
        fields[ABOUT] = told.model_copy(update={"waits": ()}).model_dump_json()
        struck = [host for host in gone if host not in of_hosts]
        with readable_errors(self._url), self._redis.pipeline(transaction=True) as pipe:
            if changed is None:
                pipe.delete(Keys.WAITS)
            elif struck:
                pipe.hdel(Keys.WAITS, *struck)
            pipe.hset(Keys.WAITS, mapping=fields)
            pipe.expire(Keys.WAITS, LAST_WORD_TTL)
            pipe.hlen(Keys.WAITS)
            answers = pipe.execute()
        return int(answers[-1]) - 1

    # Events: what happened, in order; wakes beat.

    def tell(self, event: Event) -> None:
        with readable_errors(self._url), self._redis.pipeline(transaction=False) as pipe:
            pipe.xadd(Keys.EVENTS, {"event": event.model_dump_json()}, maxlen=EVENTS_MAX, approximate=True)
            count(pipe, event)
            # An event that is told must not be told again because a right of an older farm does not let us
            # count it.
            first = pipe.execute(raise_on_error=False)[0]
            if isinstance(first, redis.RedisError):
                raise first

    def counts(self) -> Counts:
        """How often things happened since Redis has been up with its data. Never goes back meanwhile."""
        with readable_errors(self._url):
            return read_counts(cast("dict[str, str]", self._redis.hgetall(Keys.COUNTS)))

    def last_event_id(self) -> str:
        """Where to listen from to hear only what is yet to happen."""
        with readable_errors(self._url):
            newest = cast("list[Any]", self._redis.xrevrange(Keys.EVENTS, count=1))
        return str(newest[0][0]) if newest else "0"

    def events(self, after: str, wait_s: float = 0, most: int = 1000) -> list[tuple[str, Event]]:
        """Events after the id `after`, oldest first; waits up to `wait_s` for the first one."""
        block = int(min(wait_s, BLOCK_MAX_S) * 1000) or None
        with readable_errors(self._url):
            answer = cast("Any", self._redis.xread({Keys.EVENTS: after}, block=block, count=most))
        if not answer:
            return []
        items = answer[0][1] if isinstance(answer, list) else next(iter(answer.values()))
        told = [(str(event_id), read(Event, fields.get("event"))) for event_id, fields in items]
        readable = [(event_id, event) for event_id, event in told if event is not None]
        # Whoever waits must not be woken again and again by what nobody can read.
        return readable or self.events(told[-1][0], wait_s, most)

    def newest_events(self, most: int) -> list[tuple[str, Event]]:
        """The last `most` events, oldest first."""
        with readable_errors(self._url):
            items = cast("list[Any]", self._redis.xrevrange(Keys.EVENTS, count=most))
        told = [(str(event_id), read(Event, fields.get("event"))) for event_id, fields in reversed(items)]
        return [(event_id, event) for event_id, event in told if event is not None]

    def _ask(self, *commands: Sequence[str]) -> list[Any]:
        with readable_errors(self._url):
            if len(commands) == 1:
                return [self._redis.execute_command(*commands[0])]  # type: ignore[no-untyped-call]
            with self._redis.pipeline(transaction=False) as pipe:
                for command in commands:
                    pipe.execute_command(*command)  # type: ignore[no-untyped-call]
                return pipe.execute()


def _by_host(waits: Iterable[Wait]) -> dict[str, list[Wait]]:
    found: dict[str, list[Wait]] = {}
    for wait in waits:
        found.setdefault(wait.host, []).append(wait)
    return found
