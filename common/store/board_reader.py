"""The read commands of the notice board that show the farm, independent of the Redis client."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Any, TypeVar

from pydantic import TypeAdapter

from common.errors import BrokerError
from common.model.figures import Notice
from common.model.pending import PendingMove
from common.model.snapshot import SNAPSHOT_OF_ROLE, Wait, Waits
from common.names import PENDING_MAX, Keys, Role, role_and_host
from common.store.decode import MOST_CHARACTERS, Spoilt, Unreadable, read, read_all, read_each
from common.store.farm_clock import CLOCK
from common.store.server_checks import trouble

N = TypeVar("N", bound=Notice)

ABOUT = ""  # field of the waits' hash that belongs to no host


@cache
def waits_kind() -> TypeAdapter[tuple[Wait, ...]]:
    """Type of a host's field in the waits. Made on first use, because that is slow."""
    return TypeAdapter(tuple[Wait, ...])


class WrongType(Exception):
    """Answer to a command on a key of another type than plotman writes."""

    def __str__(self) -> str:
        return "it is of the wrong type"


class BoardReader(ABC):
    """Reads the notice board. All methods raise BrokerError if Redis does not answer or refuses.

    spoilt: what was read and is not what a plotman writes. It is left out.
    """

    spoilt: Spoilt

    @abstractmethod
    def _ask(self, *commands: Sequence[str]) -> list[Any]:
        """Send read commands, all at once, and return their answers: text, None, a list of these, for
        HGETALL a dict, or a WrongType. Raises BrokerError."""

    def measure_clock(self) -> None:
        """Measure the farm's clock, which is Redis'."""
        CLOCK.ask(lambda: self._ask(("TIME",))[0])

    def trouble(self) -> str | None:
        """What is wrong with Redis itself (server_checks.trouble); None also if it may not be asked."""
        try:
            answer = self._ask(("INFO",))[0]
        except BrokerError:
            return None  # the next command fails for the same reason, if it is not about INFO
        if isinstance(answer, str):  # redis-py parses it
            answer = dict(line.split(":", 1) for line in answer.splitlines() if ":" in line)
        return trouble({str(name): str(value) for name, value in answer.items()})

    def hosts(self) -> dict[Role, list[str]]:
        """All hosts ever seen, by role."""
        fields: list[str] = self._ask(("HKEYS", Keys.HOSTS))[0]
        seen: dict[Role, list[str]] = {role: [] for role in Role}
        for field in sorted(fields):
            if known := role_and_host(field):
                seen[known[0]].append(known[1])
        return seen

    def snapshots(self, role: Role) -> dict[str, Any]:
        """Snapshots of the hosts that are alive in this role."""
        return {host: snapshot for host, (snapshot, alive) in self.last_words(role).items() if alive}

    def last_words(
        self, role: Role, known: dict[tuple[Role, str], tuple[str, Any]] | None = None
    ) -> dict[str, tuple[Any, bool]]:
        """The last snapshot of each host in this role, and whether the host is alive.

        A key that expires by the clock of Redis decides that: the clocks of the hosts differ.

        Args:
            role: of the snapshots.
            known: a cache that the caller keeps between calls; unchanged snapshots are not parsed again.
        """
        known = {} if known is None else known
        hosts = self.hosts()[role]
        if not hosts:
            return {}
        texts, signs = self._ask(
            ("MGET", *(Keys.snapshot(role, host) for host in hosts)),
            ("MGET", *(Keys.alive(role, host) for host in hosts)),
        )
        found = {}
        for host, text, sign in zip(hosts, texts, signs, strict=True):
            before, snapshot = known.get((role, host), (None, None))
            if text is None:  # MGET also leaves out keys of another type
                snapshot = NOT_THERE if sign is not None else None
            elif text != before:
                snapshot = read_snapshot(role, host, text)
                known[role, host] = (text, snapshot)
            if isinstance(snapshot, Unreadable):
                self.spoilt.add(host, Keys.snapshot(role, host), snapshot)
            elif snapshot is not None:
                found[host] = (snapshot, sign is not None)
        return found

    def moves(self, hosts: Sequence[str]) -> dict[str, list[PendingMove]]:
        """Moves by plotter; plotters without any are left out."""
        return self._hashes(PendingMove, [(host, Keys.moves(host)) for host in hosts])

    def leader(self) -> str | None:
        """Token of the beat that decides now; None: none does."""
        holder: str | None = self._ask(("GET", Keys.LEASE))[0]
        return holder

    def waits(self) -> Waits | None:
        """All waits; None if no beat has ever written any."""
        fields: dict[str, str] = self._ask(("HGETALL", Keys.WAITS))[0]
        try:
            about = read(Waits, fields.pop(ABOUT))
        except (KeyError, Unreadable):
            return None
        if not fields:
            return about
        of_hosts = (read_all(waits_kind(), fields[host]) for host in sorted(fields))
        return about.model_copy(update={"waits": tuple(chain.from_iterable(of_hosts))})

    def _hashes(self, kind: type[N], keys: Sequence[tuple[str, str]]) -> dict[str, list[N]]:
        if not keys:
            return {}
        answers: list[list[str] | WrongType] = self._ask(*(("HVALS", key) for _, key in keys))
        found: dict[str, list[N]] = {}
        for (host, key), texts in zip(keys, answers, strict=True):
            if isinstance(texts, WrongType):
                self.spoilt.add(host, key, texts)
            elif len(texts) > PENDING_MAX or sum(map(len, texts)) > MOST_CHARACTERS:
                self.spoilt.add(host, key, "it is longer than any host's")
            elif texts:
                found[host] = read_each(kind, texts, host, key, self.spoilt)
        return found


NOT_THERE = Unreadable("it is missing or of the wrong type")


def read_snapshot(role: Role, host: str, text: str) -> Any:
    """Read a snapshot; returns an Unreadable if that is not one of this host."""
    try:
        return read(SNAPSHOT_OF_ROLE[role], text, host)
    except Unreadable as error:
        return error
