"""The board as one process sees it again and again: what has not changed is not read twice.

A farm of a thousand plotters has 20 MB of snapshots. Reading them takes beat most of a second, ten times what
deciding takes; but between two looks few of them change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import redis

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


@dataclass(frozen=True, slots=True)
class Look:
    """The board at one moment.

    snapshots: by role and host, of those that are alive.
    orders, moves: by plotter, of those that have any. What passes from there into a snapshot meanwhile is in
    both.
    silent: last words of plotters that are not alive, by host.
    """

    snapshots: dict[Role, dict[str, Any]]
    orders: dict[str, list[PendingOrder]]
    moves: dict[str, list[PendingMove]]
    silent: dict[str, PlotterSnapshot] = field(default_factory=dict)


class View:
    """Not for several threads."""

    def __init__(self, redis_client: redis.Redis, url: str) -> None:
        self._redis = redis_client
        self._url = url
        self._filled = redis_client.register_script(_FILLED)
        self._listed: dict[str, tuple[Role, str] | None] = {}  # by their names in the list of hosts
        # (role, host) -> what the list of hosts said when it was read, and the snapshot.
        self._known: dict[tuple[Role, str], tuple[str, Any]] = {}
        self._notices: dict[str, Any] = {}  # by their JSON

    def look(self) -> Look:
        """The board now. A snapshot that did not change in anything to be decided on since the last look is
        the same object as then. Raises BrokerError; the look after that is as good as any."""
        with readable_errors(self._url):
            said = self._hosts()
            # Orders and moves first: what passes on meanwhile is then seen twice, which harms nothing, and
            # never not at all.
            orders, moves = self._pending([host for role, host in said if role is Role.PLOTTER])
            found, silent = self._snapshots(said)
            return Look(found, orders, moves, silent)

    def _hosts(self) -> dict[tuple[Role, str], str]:
        """Who was ever seen, with the time of the last snapshot to decide on."""
        fields = cast("dict[str, str]", self._redis.hgetall(Keys.HOSTS))
        if fields.keys() != self._listed.keys():
            self._listed = {field: role_and_host(field) for field in sorted(fields)}
            listed = set(self._listed.values())
            self._known = {known: held for known, held in self._known.items() if known in listed}
        return {known: fields[field] for field, known in self._listed.items() if known}

    def _snapshots(
        self, said: dict[tuple[Role, str], str]
    ) -> tuple[dict[Role, dict[str, Any]], dict[str, PlotterSnapshot]]:
        """Of all that are alive, and of the plotters that are not."""
        never = ("", None)
        new = [known for known, at in said.items() if self._known.get(known, never)[0] != at]
        with self._redis.pipeline(transaction=False) as pipe:
            for keys in ([Keys.snapshot(*known) for known in new], [Keys.alive(*known) for known in said]):
                if keys:
                    pipe.mget(keys)
            answers = cast("list[list[str | None]]", pipe.execute())
        signs = answers.pop() if said else []
        for known, text in zip(new, answers[0] if new else (), strict=True):
            self._known[known] = (said[known], read(SNAPSHOT_OF_ROLE[known[0]], text))
        found: dict[Role, dict[str, Any]] = {role: {} for role in Role}
        silent: dict[str, PlotterSnapshot] = {}
        for (role, host), sign in zip(said, signs, strict=True):
            snapshot = self._known[role, host][1]
            if snapshot is None:
                continue
            if sign is not None:
                found[role][host] = snapshot
            elif role is Role.PLOTTER:
                silent[host] = snapshot
        return found, silent

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
