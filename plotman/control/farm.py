"""The farm as the notice board shows it at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from common import config
from common.broker import broker_url
from common.names import Role
from common.snapshot import ArchiverSnapshot, HarvesterSnapshot, Job, PlotterSnapshot, Waits
from common.store import Board


@dataclass(frozen=True)
class Farm:
    """Snapshots by host, the last word of each. stale: (role, host) of those who are silent."""

    at: datetime
    plotters: dict[str, PlotterSnapshot]
    archivers: dict[str, ArchiverSnapshot]
    harvesters: dict[str, HarvesterSnapshot]
    waits: Waits | None
    stale: frozenset[tuple[Role, str]]

    def jobs(self) -> list[tuple[str, Job]]:
        """(host, job) of every plot in the making, longest running first."""
        found = [(host, job) for host, snapshot in self.plotters.items() for job in snapshot.jobs]
        return sorted(found, key=lambda pair: pair[1].started_at)


def board() -> Board:
    """This machine's notice board. Raises ConfigError, BrokerError."""
    return Board.connect(broker_url(config.load()))


def look(at: Board, known: dict[tuple[Role, str], tuple[str, Any]] | None = None) -> Farm:
    """Read the whole board. Raises BrokerError.

    known: kept by one who looks again and again; snapshots that did not change come from there.
    """
    words = {role: at.last_words(role, known) for role in Role}
    stale = {(role, host) for role in Role for host, (_, alive) in words[role].items() if not alive}

    def last(role: Role) -> dict[str, Any]:
        return {host: snapshot for host, (snapshot, _) in words[role].items()}

    return Farm(
        at=datetime.now(UTC),
        plotters=last(Role.PLOTTER),
        archivers=last(Role.ARCHIVER),
        harvesters=last(Role.HARVESTER),
        waits=at.waits(),
        stale=frozenset(stale),
    )
