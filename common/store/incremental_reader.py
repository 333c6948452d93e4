"""Reads the whole board repeatedly, and parses only what has changed.

A farm of a thousand plotters has 20 MB of snapshots. Parsing them takes most of a second, ten times as long
as a decision; but few of them change between two readings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, cast

import redis

from common.model.board_state import BoardState
from common.model.pending import PendingMove, PendingOrder
from common.model.snapshot import SNAPSHOT_OF_ROLE, Notice, PlotterSnapshot
from common.names import Keys, Role, role_and_host
from common.store.connection import readable_errors
from common.store.decode import read

N = TypeVar("N", bound=Notice)

# The hashes of a thousand hosts in one command, of which few hold anything: their index and their values.
_FILLED = """
local found = {}
for index, key in ipairs(KEYS) do
  local values = redis.call('HVALS', key)
  if #values > 0 then found[#found + 1] = {index, values} end
end
return found
"""


class IncrementalReader:
    """Reads the board for one thread."""

    def __init__(self, redis_client: redis.Redis, url: str) -> None:
        self._redis = redis_client
        self._url = url
        self._filled = redis_client.register_script(_FILLED)
        self._listed: dict[str, tuple[Role, str] | None] = {}  # by their names in the list of hosts
        # (role, host) -> the time in the list of hosts when it was read, and the snapshot.
        self._known: dict[tuple[Role, str], tuple[str, Any]] = {}
        self._notices: dict[str, Any] = {}  # by their JSON

    def read(self) -> BoardState:
        """Read the board. A snapshot without a change that matters for decisions is the same object as in the
        last reading.

        Raises:
            BrokerError: Redis did not answer. The next reading is complete again.
        """
        with readable_errors(self._url):
            hosts = self._hosts()
            # Orders and moves first: one that passes into a snapshot meanwhile is then read twice, which is
            # harmless. None is missed.
            orders, moves = self._pending([host for role, host in hosts if role is Role.PLOTTER])
            alive, lost = self._snapshots(hosts)
            return BoardState(
                alive[Role.PLOTTER], alive[Role.ARCHIVER], alive[Role.HARVESTER], orders, moves, lost
            )

    def _hosts(self) -> dict[tuple[Role, str], str]:
        """Every host ever seen, with the time of its last change that matters for decisions."""
        fields = cast("dict[str, str]", self._redis.hgetall(Keys.HOSTS))
        if fields.keys() != self._listed.keys():
            self._listed = {field: role_and_host(field) for field in sorted(fields)}
            listed = set(self._listed.values())
            self._known = {known: held for known, held in self._known.items() if known in listed}
        return {known: fields[field] for field, known in self._listed.items() if known}

    def _snapshots(
        self, hosts: dict[tuple[Role, str], str]
    ) -> tuple[dict[Role, dict[str, Any]], dict[str, PlotterSnapshot]]:
        """Snapshots of live hosts by role, and the last ones of lost plotters."""
        never = ("", None)
        new = [known for known, at in hosts.items() if self._known.get(known, never)[0] != at]
        with self._redis.pipeline(transaction=False) as pipe:
            for keys in ([Keys.snapshot(*known) for known in new], [Keys.alive(*known) for known in hosts]):
                if keys:
                    pipe.mget(keys)
            answers = cast("list[list[str | None]]", pipe.execute())
        signs = answers.pop() if hosts else []
        for known, text in zip(new, answers[0] if new else (), strict=True):
            self._known[known] = (hosts[known], read(SNAPSHOT_OF_ROLE[known[0]], text))
        alive: dict[Role, dict[str, Any]] = {role: {} for role in Role}
        lost: dict[str, PlotterSnapshot] = {}
        for (role, host), sign in zip(hosts, signs, strict=True):
            snapshot = self._known[role, host][1]
            if snapshot is None:
                continue
            if sign is not None:
                alive[role][host] = snapshot
            elif role is Role.PLOTTER:
                lost[host] = snapshot
        return alive, lost

    def _pending(
        self, hosts: Sequence[str]
    ) -> tuple[dict[str, list[PendingOrder]], dict[str, list[PendingMove]]]:
        keys = [*map(Keys.orders, hosts), *map(Keys.moves, hosts)]
        answers = cast("list[tuple[int, list[str]]]", self._filled(keys=keys) if keys else [])
        orders: dict[str, list[PendingOrder]] = {}
        moves: dict[str, list[PendingMove]] = {}
        kept: dict[str, Any] = {}
        for index, texts in answers:  # Lua counts from 1
            if index <= len(hosts):
                orders[hosts[index - 1]] = self._read_all(PendingOrder, texts, kept)
            else:
                moves[hosts[index - 1 - len(hosts)]] = self._read_all(PendingMove, texts, kept)
        self._notices = kept
        return orders, moves

    def _read_all(self, kind: type[N], texts: list[str], kept: dict[str, Any]) -> list[N]:
        for text in texts:
            kept[text] = self._notices[text] if text in self._notices else read(kind, text)
        return [kept[text] for text in texts if kept[text] is not None]
