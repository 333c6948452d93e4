"""Which Redis commands, keys and channels each machine of a farm may use. Pure.

A user's rights are selectors (Redis 7.0 or newer, Valkey): each is a set of commands with the keys and
channels for which they hold, so that a worker may push onto a list without reading it, or subscribe to a
channel without publishing on it.

What kombu 5.7 and Celery 5.7 use was found with MONITOR and ACL LOG; the tests run a farm under these rules
and expect an empty ACL LOG.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from itertools import chain

from common.names import SHARED_EXCHANGES, Keys, Role, bindings, node, queue


class Duty(StrEnum):
    """A duty of a machine, which gives it rights."""

    PLOTTER = "plotter"  # plots, and sends finished plots
    HARVESTER = "harvester"
    SCHEDULER = "scheduler"  # beat, Flower, notifications, and the command line that orders
    VIEWER = "viewer"  # `plotman status` and its like, metrics, and nothing else


# Without CLIENT SETINFO, which Redis 7.0 does not have and redis-py does not need.
# No keys, no channels; none of these shows other machines. INFO is for the check at start.
_BASE = "+ping +hello +auth +select +client|setname +time +info +unsubscribe +punsubscribe"
# For those that write. Redis answers nobody else during a transaction, so viewers have none.
_TRANSACTIONS = "+multi +exec +discard +watch +unwatch"
# For a machine's own data. Named one by one: categories such as @write include FLUSHALL and KEYS. No
# scripts: one that never ends would stop the server for all, and one that has written cannot be ended.
_OWN = (
    "+get +set +setex +mget +del +exists +expire +pexpire +llen +lpush +rpush +brpop +lpop +rpop +sadd +srem"
    " +smembers +zadd +zrem +zrange +zrangebyscore +zrevrangebyscore +hset +hget +hdel +hvals +hkeys +hgetall"
    " +hexists"
)
_MOVES = "+hset +hdel +hvals +expire"
_SNAPSHOTS = tuple(f"plotman:host:*:{role}" for role in Role)
_NOTICES = (*_SNAPSHOTS, "plotman:host:*:alive", "plotman:host:*:orders", "plotman:host:*:moves")
_RESULTS = "celery-task-meta-*"


def user_line(name: str, duties: Iterable[Duty], password_sha256: str) -> str:
    """Make the line of an ACL file for one machine; the rights of its duties add up.

    name: the machine's farm.host. password_sha256: hex; the file never contains the password itself.
    """
    selectors = dict.fromkeys(chain.from_iterable(_SELECTORS[duty](name) for duty in sorted(set(duties))))
    rights = " ".join(f"({selector})" for selector in selectors)
    return f"user {name} on sanitize-payload #{password_sha256} resetchannels -@all {_BASE} {rights}"


def acl_file(lines: Iterable[str]) -> str:
    """Make users.acl. Without a name and a password nothing is allowed: nobody can become a user that is off.

    The user `default` keeps its rights, since Redis 7.0 reads its append-only file as this user: without them
    it would leave out each transaction of two or more commands.
    """
    return "\n".join(("user default off resetpass sanitize-payload ~* &* +@all", *lines)) + "\n"


def _keys(patterns: Iterable[str], access: str = "") -> str:
    return " ".join(f"%{access}~{pattern}" if access else f"~{pattern}" for pattern in patterns)


def _bindings(exchanges: Iterable[str]) -> tuple[str, ...]:
    """Return the keys of kombu's tables that bind queues to these exchanges."""
    return tuple(chain.from_iterable(map(bindings, exchanges)))


def _worker(host: str, *roles: Role) -> Iterator[str]:
    """Yield the rights of each worker: its own queues, the snapshots of its roles, and Celery's broadcasts.
    Not its host's other keys: a harvester's password must not make a plotter of this name."""
    queues = tuple(queue(role, host) for role in roles)
    unacked = tuple(f"unacked.{host}{end}" for end in ("", ".index", ".mutex"))
    pidboxes = tuple(f"{node(role, host)}.celery.pidbox" for role in roles)
    snapshots = chain.from_iterable((Keys.snapshot(role, host), Keys.alive(role, host)) for role in roles)
    own = (*queues, *_bindings(queues), *unacked, *pidboxes, *snapshots)
    yield _TRANSACTIONS
    yield f"{_OWN} {_keys(own)}"
    yield f"+hset {_keys([Keys.HOSTS], 'W')}"  # announce itself, and remove no host
    yield f"+xadd {_keys([Keys.EVENTS], 'W')}"
    yield f"+hincrby {_keys([Keys.COUNTS])}"  # how often each thing happened
    yield f"+xread +xrevrange {_keys([Keys.EVENTS], 'R')}"  # what `plotman up` prints
    yield f"+get +mget +set +setex +del +expire +publish +subscribe {_keys([_RESULTS])} &{_RESULTS}"
    # Commands of sets only: none may make something else of them, which would end the workers of all.
    yield f"+sadd +srem +smembers {_keys(_bindings(SHARED_EXCHANGES))}"
    # Receive commands, answer them, publish task events; but send no commands.
    yield "+subscribe +psubscribe &/0.celery.pidbox"  # kombu uses PSUBSCRIBE for it
    yield f"+lpush {_keys(['*.reply.celery.pidbox'], 'W')}"
    yield "+publish &/0.celeryev/*"


def _send_to(*queues: str) -> Iterator[str]:
    """Yield the rights to push onto others' queues, which kombu declares, without reading them."""
    yield f"+lpush +llen {_keys(queues, 'W')}"
    yield f"+sadd +smembers {_keys(_bindings(queues))}"


def _sender(host: str) -> Iterator[str]:
    """Yield the rights to send plots: the moves that beat orders, and what harvesters leave for them."""
    yield f"{_MOVES} {_keys([Keys.moves(host)])}"
    yield f"+hget +hdel {_keys([Keys.ordered(host)])}"
    yield f"+get {_keys([Keys.ticket('*', host, '*'), Keys.admitted('*', host, '*')], 'R')}"


def _plotter(host: str) -> Iterator[str]:
    yield from _worker(host, Role.PLOTTER, Role.ARCHIVER)
    # What beat orders: the plotter deletes what is done.
    yield f"+hdel {_keys([Keys.orders(host)], 'W')}"
    yield from _sender(host)


def _harvester(host: str) -> Iterator[str]:
    # An archiver sends the plots of a drive that is evacuated.
    yield from _worker(host, Role.HARVESTER, Role.ARCHIVER)
    yield from _sender(host)
    # The next step of a plot's way, and how it went; the ticket to a receiver of this harvester.
    yield from _send_to("archive.*", "plotter.*")
    yield f"{_MOVES} {_keys([Keys.moves('*')])}"
    yield f"+set +del {_keys([Keys.ticket(host, '*', '*')], 'W')}"
    yield f"+set {_keys([Keys.admitted(host, '*', '*')], 'W')}"


def _scheduler(host: str) -> Iterator[str]:  # noqa: ARG001  its rights are for all hosts
    queues = ("plotter.*", "archive.*", "harvester.*", "plotman.unrouted")
    yield f"+lpush +llen +del +exists {_keys(queues, 'W')}"
    celery = ("_kombu.binding*", "*.celery.pidbox", "celeryev.*", "unacked*", _RESULTS)
    notices = (Keys.HOSTS, Keys.EVENTS, Keys.COUNTS, "plotman:beat:*", "plotman:alarms:*", *_NOTICES)
    notices = (*notices, Keys.ordered("*"))
    yield _TRANSACTIONS
    yield "+client|no-evict"  # what beat reads is larger than what an attacker asks for
    # How large kombu's tables are, which workers share.
    yield f"+scard +memory|usage {_keys(_bindings(SHARED_EXCHANGES), 'R')}"
    more = "+eval +strlen +hsetnx +hlen +hincrby +zscore +zcard"
    more += " +xadd +xread +xrevrange +xlen +xdel +xinfo|stream"
    yield f"{_OWN} {more} {_keys((*celery, *notices))}"
    yield f"+publish +subscribe +psubscribe &/0.celery.pidbox &/0.celeryev/* &{_RESULTS}"


def _viewer(host: str) -> Iterator[str]:  # noqa: ARG001  a viewer is no host
    notices = (Keys.HOSTS, Keys.EVENTS, Keys.COUNTS, "plotman:beat:*", *_NOTICES, _RESULTS)
    yield f"+get +mget +hkeys +hvals +hgetall +xread +xrevrange +xlen +ttl {_keys(notices, 'R')}"
    yield f"+llen {_keys(('plotter.*', 'archive.*', 'harvester.*'), 'R')}"  # their length, not their content


_SELECTORS: dict[Duty, Callable[[str], Iterator[str]]] = {
    Duty.PLOTTER: _plotter,
    Duty.HARVESTER: _harvester,
    Duty.SCHEDULER: _scheduler,
    Duty.VIEWER: _viewer,
}
