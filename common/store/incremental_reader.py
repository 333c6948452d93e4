"""Reads the whole board repeatedly, and parses only what has changed.

A farm of a thousand plotters has 20 MB of snapshots. Parsing them takes most of a second, ten times as long
as a decision; but few of them change between two readings.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar, cast

import redis

from common.model.board_state import BoardState
from common.model.figures import Notice
from common.model.pending import PendingMove, PendingOrder
from common.names import PENDING_MAX, Keys, Role, node, role_and_host
from common.store.board_reader import NOT_THERE, read_snapshot
from common.store.connection import readable_errors
from common.store.decode import MOST_CHARACTERS, Spoilt, Unreadable, read

log = logging.getLogger(__name__)

N = TypeVar("N", bound=Notice)
_Known = tuple[Role, str]

# The hashes of a thousand hosts in one command, of which few hold anything: their index and their values.
# False instead of them if the key is of another type, or has more values or bytes than any host's, or if it
# is large, and the large ones together are more than an answer may have.
_FILLED = """
local large = 0
local function values_of(key)
  local values, bytes = redis.call('HVALS', key), 0
  for _, value in ipairs(values) do bytes = bytes + #value end
  if bytes > tonumber(ARGV[3]) then large = large + bytes end
  return bytes <= tonumber(ARGV[2]) and (bytes <= tonumber(ARGV[3]) or large <= tonumber(ARGV[4])) and values
end
local found = {}
for index, key in ipairs(KEYS) do
  local size = redis.pcall('HLEN', key)
  if type(size) == 'table' or size > tonumber(ARGV[1]) then
    found[#found + 1] = {index, false}
  elseif size > 0 then
    found[#found + 1] = {index, values_of(key)}
  end
end
return found
"""
# As MGET, with '' for what is longer than any host's.
_TEXTS = """
local found, most = redis.call('MGET', unpack(KEYS)), tonumber(ARGV[1])
for index = 1, #found do
  local text = found[index]
  if text and #text > most then found[index] = '' end
end
return found
"""
# The places of the texts that are longer than any host's.
_LONG = """
local found = {}
for index, key in ipairs(KEYS) do
  local length = redis.pcall('STRLEN', key)
  if type(length) == 'number' and length > tonumber(ARGV[1]) then found[#found + 1] = index end
end
return found
"""
# The names in a hash to which any worker may add some. What nobody else could read is deleted: the
# longest names; and all but those that the caller knows, if there are more than Redis sends in an answer. -1
# asks for these. Returns how many it deleted and, if they are asked for, the names left.
_NAMES = """
local size = redis.call('HLEN', KEYS[1])
if size > tonumber(ARGV[2]) and ARGV[4] == '0' then return {-1, {}} end
if size > tonumber(ARGV[2]) then
  local left, fields = {}, {}
  for index = 6, #ARGV do
    local value = redis.call('HGET', KEYS[1], ARGV[index])
    if value then
      left[#left + 1] = ARGV[index]
      fields[ARGV[index]] = value
    end
  end
  redis.call('DEL', KEYS[1])
  for name, value in pairs(fields) do redis.call('HSET', KEYS[1], name, value) end
  return {size - #left, left}
end
local names = redis.call('HKEYS', KEYS[1])
if ARGV[3] == '1' and #table.concat(names) <= tonumber(ARGV[5]) then return {0, names} end
local deleted, left = 0, {}
for _, name in ipairs(names) do
  if #name > tonumber(ARGV[1]) then
    deleted = deleted + redis.call('HDEL', KEYS[1], name)
  elseif ARGV[3] == '1' then
    left[#left + 1] = name
  end
end
return {deleted, left}
"""
_NAME_MOST_BYTES = 320  # "bytes", the kind of an event and a host
_NAMES_MAX = 400_000
# Names of this many bytes together are looked at by the reader itself, which takes half of the script's time.
_NAMES_FEW_BYTES = 1 << 20
_SIGN_MOST_BYTES = 320  # a time and a mark
_MOST_BYTES = 4 * MOST_CHARACTERS  # in UTF-8
# Values and bytes of one hash; bytes of one that is large, and of all large ones. A record has a kilobyte.
_FILLED_LIMITS = tuple(map(str, (PENDING_MAX, 16 << 20, 1 << 16, 48 << 20)))
_FEW_KEYS = 16  # a second command would take longer than their texts in the script
_KEYS_MAX = 1_000  # of a script: Lua unpacks up to 8,000
# Names in the list of hosts that are read at once the first time.
_NEW_HOSTS_MAX = 5_000
# After Redis closed the connection that it should send texts by: how long the script that cuts them reads.
_CUT_S = 60.0
# How long operators are shown a key that was deleted, and how often one is logged.
_SHOWN_S = 60.0


def healed_names(
    redis_client: redis.Redis, key: str, wanted: bool, known: Iterable[str] = ()
) -> tuple[int, list[str]]:
    """Delete the names in a hash that keep others from reading it. Needs the right to run scripts.

    Args:
        redis_client: of the scheduler.
        key: of the hash.
        wanted: whether to read the names.
        known: names that stay in any case.

    Returns:
        The number of deleted names, and those left.
    """
    limits = (str(_NAME_MOST_BYTES), str(_NAMES_MAX), "1" if wanted else "0")

    def ask(*more: str) -> tuple[int, list[str]]:
        return cast("tuple[int, list[str]]", redis_client.eval(_NAMES, 1, key, *limits, *more))

    deleted, left = ask("0", str(_NAMES_FEW_BYTES))
    if deleted < 0:
        deleted, left = ask("1", "0", *known)
    elif max(map(len, left), default=0) > _NAME_MOST_BYTES:
        deleted, left = ask("0", "0")
    if deleted:
        log.warning("%s had %d names that nobody could read, too long or too many: deleted", key, deleted)
    return deleted, left


class _Keys:
    """Keys that are read in each round; the names of thousands take as long to put together as to read.

    hosts: each host with its role. alive: of their signs of life, in this order.
    senders: hosts with plotters, and with an archiver alone, as while a harvester's drive is evacuated.
    pending: of their orders, then of their moves.
    """

    def __init__(self, hosts: Sequence[_Known]) -> None:
        self.hosts = hosts
        self.alive = [Keys.alive(*each) for each in hosts]
        self.senders = list(dict.fromkeys(host for role, host in hosts if role is not Role.HARVESTER))
        self.pending = [*map(Keys.orders, self.senders), *map(Keys.moves, self.senders)]


class IncrementalReader:
    """Reads the board for one thread of the beat that decides.

    It deletes what no plotman writes and what would stay: hashes of another type, which the host itself could
    not write any more, and names without a snapshot in the list of hosts.
    """

    def __init__(self, redis_client: redis.Redis, url: str) -> None:
        self._redis = redis_client
        self._url = url
        self._listed: dict[str, _Known | None] = {}  # by their names in the list of hosts
        self._keys = _Keys(())
        # (role, host) -> its sign of life when it was read, and the snapshot or an Unreadable; None: none
        self._known: dict[_Known, tuple[str | None, Any]] = {}
        self._notices: dict[str, Any] = {}  # by their JSON
        self._deleted: dict[str, tuple[str, float]] = {}  # key -> host, and the end of _SHOWN_S
        self._cut_until_s = float("-inf")  # monotonic

    def read(self) -> BoardState:
        """Read the board. A snapshot without a change that matters for decisions is the same object as in the
        last reading.

        Raises:
            BrokerError: Redis did not answer. The next reading is complete again.
        """
        spoilt = Spoilt()
        with readable_errors(self._url):
            self._read_hosts()
            orders, moves, signs = self._pending_and_signs(self._keys, spoilt)
            alive, lost = self._snapshots(dict(zip(self._keys.hosts, signs, strict=True)), spoilt)
        now_s = time.monotonic()
        for key, (host, until_s) in self._deleted.items():
            if now_s < until_s:
                spoilt.add(host, key, "it was of the wrong type or too long, and is deleted")
        return BoardState(
            alive[Role.PLOTTER],
            alive[Role.ARCHIVER],
            alive[Role.HARVESTER],
            orders,
            moves,
            lost[Role.PLOTTER],
            spoilt.by_host(),
            lost[Role.HARVESTER],
        )

    def _read_hosts(self) -> None:
        """Every host ever seen."""
        known = (field for field, known in self._listed.items() if known)
        fields = healed_names(self._redis, Keys.HOSTS, wanted=True, known=known)[1]
        if set(fields) != self._listed.keys():
            fields = self._without_invented(fields)
            self._listed = {field: role_and_host(field) for field in sorted(fields)}
            listed = set(self._listed.values())
            self._known = {known: held for known, held in self._known.items() if known in listed}
            self._strike_off([field for field, known in self._listed.items() if known is None])
            self._keys = _Keys([known for known in self._listed.values() if known])

    def _without_invented(self, fields: list[str]) -> list[str]:
        """Strike off new names without a key of their own, if there are more than a farm has: any worker may
        write names, and to read the keys of a million at once would keep Redis from all others."""
        new = [field for field in fields if field not in self._listed]
        if len(new) <= _NEW_HOSTS_MAX:
            return fields
        invented: set[str] = set()
        for start in range(0, len(new), _NEW_HOSTS_MAX):
            known = {field: role_and_host(field) for field in new[start : start + _NEW_HOSTS_MAX]}
            with self._redis.pipeline(transaction=False) as pipe:
                for each in filter(None, known.values()):
                    pipe.exists(Keys.snapshot(*each), Keys.alive(*each))
                there = iter(pipe.execute())
            without = [field for field, each in known.items() if each is None or not next(there)]
            self._strike_off(without)
            invented.update(without)
        return [field for field in fields if field not in invented]

    def _strike_off(self, fields: Sequence[str]) -> None:
        if fields:
            self._redis.hdel(Keys.HOSTS, *fields)
            log.info("%d names in %s are of no host, and are removed", len(fields), Keys.HOSTS)

    def _snapshots(
        self, hosts: Mapping[_Known, str | None], spoilt: Spoilt
    ) -> tuple[dict[Role, dict[str, Any]], dict[Role, dict[str, Any]]]:
        """Snapshots of live hosts by role, and the last ones of lost hosts. hosts: their signs of life."""
        held = self._known
        new = [known for known, sign in hosts.items() if known not in held or held[known][0] != sign]
        for known, text in zip(new, self._texts([Keys.snapshot(*each) for each in new]), strict=True):
            if text == "":
                self._delete(known[1], Keys.snapshot(*known))
                held[known] = (None, NOT_THERE)
            elif text is not None:
                held[known] = (_compared(hosts[known]), read_snapshot(*known, text))
            else:
                held[known] = (hosts[known], None if hosts[known] is None else NOT_THERE)
        self._strike_off([node(*known) for known in new if held[known] == (None, None)])
        alive: dict[Role, dict[str, Any]] = {role: {} for role in Role}
        lost: dict[Role, dict[str, Any]] = {role: {} for role in Role}
        for (role, host), sign in hosts.items():
            snapshot = held[role, host][1]
            if isinstance(snapshot, Unreadable):
                spoilt.add(host, Keys.snapshot(role, host), snapshot)
            elif snapshot is None:
                continue
            else:
                (lost if sign is None else alive)[role][host] = snapshot
        return alive, lost

    def _texts(self, keys: Sequence[str]) -> list[str | None]:
        """The texts of snapshots; '' for what is longer than any host's."""
        found: list[str | None] = []
        for start in range(0, len(keys), _KEYS_MAX):
            found += self._some_texts(keys[start : start + _KEYS_MAX])
        return found

    def _some_texts(self, keys: Sequence[str]) -> list[str | None]:
        """Read by MGET what is not too long; a script that returns the texts takes Redis twice the time.

        A text that grows between both commands may be more than Redis sends: it then closes the connection,
        and for a while the script, which cuts the texts, reads them all.
        """
        if len(keys) > _FEW_KEYS and time.monotonic() >= self._cut_until_s:
            long = cast("list[int]", self._redis.eval(_LONG, len(keys), *keys, str(_MOST_BYTES)))
            asked = [key for index, key in enumerate(keys, 1) if index not in long] if long else keys
            try:
                plain = cast("list[str | None]", self._redis.mget(asked)) if asked else []
                texts = dict(zip(asked, plain, strict=True))
                return [texts.get(key, "") for key in keys]
            except redis.ConnectionError:
                self._cut_until_s = time.monotonic() + _CUT_S
        return cast("list[str | None]", self._redis.eval(_TEXTS, len(keys), *keys, str(_MOST_BYTES)))

    def _pending_and_signs(
        self, keys: _Keys, spoilt: Spoilt
    ) -> tuple[dict[str, list[PendingOrder]], dict[str, list[PendingMove]], list[str | None]]:
        """Orders and moves by plotter, and the signs of life of all hosts.

        Orders and moves are read before the snapshots: one that passes into a snapshot meanwhile is then read
        twice, which is harmless. None is missed.
        """
        if not keys.hosts:
            return {}, {}, []
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.eval(_FILLED, len(keys.pending), *keys.pending, *_FILLED_LIMITS)
            for start in range(0, len(keys.alive), _KEYS_MAX):
                some = keys.alive[start : start + _KEYS_MAX]
                pipe.eval(_TEXTS, len(some), *some, str(_SIGN_MOST_BYTES))
            filled, *parts = pipe.execute()
        answers = cast("list[tuple[int, list[str] | None]]", filled)
        signs = cast("list[str | None]", list(chain.from_iterable(parts)))
        for index, sign in enumerate(signs):
            if sign == "":
                self._delete(keys.hosts[index][1], keys.alive[index])
                signs[index] = None
        orders: dict[str, list[PendingOrder]] = {}
        moves: dict[str, list[PendingMove]] = {}
        kept: dict[str, Any] = {}
        for index, texts in answers:  # Lua counts from 1
            host, key = keys.senders[(index - 1) % len(keys.senders)], keys.pending[index - 1]
            if texts is None:
                self._delete(host, key)
            elif index <= len(keys.senders):
                orders[host] = self._read_all(PendingOrder, texts, kept, host, key, spoilt)
            else:
                moves[host] = self._read_all(PendingMove, texts, kept, host, key, spoilt)
        self._notices = kept
        return orders, moves, signs

    def _read_all(
        self, kind: type[N], texts: list[str], kept: dict[str, Any], host: str, key: str, spoilt: Spoilt
    ) -> list[N]:
        found = []
        for text in texts:
            notice = self._notices.get(text)
            if notice is None:
                try:
                    notice = read(kind, text)
                except Unreadable as error:
                    notice = error
            kept[text] = notice
            if isinstance(notice, Unreadable):
                spoilt.add(host, key, notice)
            else:
                found.append(notice)
        return found

    def _delete(self, host: str, key: str) -> None:
        now_s = time.monotonic()
        self._redis.delete(key)
        if self._deleted.get(key, (host, 0.0))[1] < now_s:
            log.warning("%s: %s was of the wrong type or too long, and is deleted", host, key)
        self._deleted[key] = (host, now_s + _SHOWN_S)


def _compared(sign: str | None) -> str | None:
    """What the next sign of life is compared with. One without a time, an older plotman's, begins with a boot
    id and stays when the snapshot changes: then nothing equals it, and the snapshot is read each time."""
    return sign if sign is None or "T" in sign.partition(" ")[0] else ""
