"""The state of the farm as the notice board shows it at one moment."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from common import config
from common.config.broker_url import broker_url
from common.config.sections.farm import farm_section
from common.errors import BrokerError, ConfigError, ExitCode, PlotmanError
from common.model.pending import PendingMove
from common.model.snapshot import ArchiverSnapshot, HarvesterSnapshot, Job, PlotterSnapshot, Waits
from common.model.units import counted
from common.names import Role
from common.store.board_reader import BoardReader
from common.store.decode import Spoilt
from common.store.farm_clock import CLOCK
from common.store.quick_reader import QuickReader

if TYPE_CHECKING:
    from common.store import Board

_log = logging.getLogger(__name__)

# A verb reports a server that takes the connection and never answers after 5 s.
_PATIENCE_S = 5.0
_PATIENCE_AFTER_QUICK_S = 4.0  # QuickReader itself waits for one second before


class NoSuchHost(PlotmanError):
    """The notice board has no host of this name."""

    exit_code = ExitCode.NOTHING

    @classmethod
    def called(cls, host: str, known: Iterable[str]) -> NoSuchHost:
        """Make the error. known: the hosts that were ever seen."""
        seen = ", ".join(sorted(known)) or "none"
        return cls(f"No host is called {host}.", f"Hosts that were ever seen: {seen}.")


@dataclass(frozen=True)
class FarmState:
    """The last snapshot of each host, by role.

    waits: of the last beat that decided, at any time. stale: (role, host) of silent workers.
    moves: by (plotter, path), those under way. leader: the beat that decides; None: none does.
    spoilt: hosts with keys that cannot be read, and a sentence that names the keys.
    redis_trouble: why Redis takes no writes or no clients, with the cure. A silent worker may then be well.
    not_running_here: sentence about this machine's plots, which a verb saw by itself.
    """

    at: datetime
    plotters: dict[str, PlotterSnapshot]
    archivers: dict[str, ArchiverSnapshot]
    harvesters: dict[str, HarvesterSnapshot]
    waits: Waits | None
    stale: frozenset[tuple[Role, str]]
    moves: Mapping[tuple[str, str], PendingMove] = field(default_factory=dict)
    leader: str | None = None
    spoilt: Mapping[str, str] = field(default_factory=dict)
    redis_trouble: str | None = None
    not_running_here: str | None = None

    @property
    def snapshots(self) -> dict[Role, Mapping[str, Any]]:
        """Snapshots by role and host."""
        return {Role.PLOTTER: self.plotters, Role.ARCHIVER: self.archivers, Role.HARVESTER: self.harvesters}

    def alive(self, role: Role) -> dict[str, Any]:
        """Snapshots of the live workers of a role, by host."""
        return {
            host: snapshot
            for host, snapshot in self.snapshots[role].items()
            if (role, host) not in self.stale
        }

    def absence(self, role: Role, host: str) -> str:
        """Why a stale worker does not report: it was stopped in order, or is silent."""
        return "stopped" if self.snapshots[role][host].stopped else "silent"

    def absence_text(self, role: Role, host: str) -> str:
        """`The plotter of vm was stopped`, or `is silent`: the begin of the answer of a stale worker."""
        verb = "was" if self.absence(role, host) == "stopped" else "is"
        return f"The {role} of {host} {verb} {self.absence(role, host)}"

    def clock_skews(self) -> dict[str, float]:
        """How far the clock of each host is ahead of Redis', in seconds, where that is known. Beat's host is
        in it while beat decides, even if it is no worker's."""
        found: list[tuple[str, float | None]] = []
        if self.waits is not None and self.leader is not None:
            found.append((self.waits.beat.partition(":")[0], self.waits.clock_skew_s))
        for role in Role:
            found += [(host, snapshot.clock_skew_s) for host, snapshot in self.alive(role).items()]
        return {host: skew_s for host, skew_s in sorted(found, key=itemgetter(0)) if skew_s is not None}

    def full_folders(self) -> dict[str, str]:
        """Which folders of a host's plotman are full, in sentences; only hosts with one."""
        found: dict[str, dict[str, None]] = {}
        for role in Role:
            for host, snapshot in self.alive(role).items():
                found.setdefault(host, {}).update(dict.fromkeys(snapshot.full_folders))
        return {host: " ".join(sentences) for host, sentences in found.items() if sentences}

    def jobs(self) -> list[tuple[str, Job]]:
        """Return (host, job) of each running plot, the longest running first."""
        found = [(host, job) for host, snapshot in self.plotters.items() for job in snapshot.jobs]
        return sorted(found, key=lambda pair: pair[1].started_at)


def board(patience_s: float = _PATIENCE_S) -> Board:
    """Connect to this machine's notice board. Raises ConfigError, BrokerError.

    patience_s: how long a command may take, in seconds. Processes that run for long are more patient than
    verbs.
    """
    from common.store import Board  # late: it imports redis-py

    return Board.connect(broker_url(settings()), patience_s)


def quick_board(patience_s: float = _PATIENCE_AFTER_QUICK_S) -> QuickReader:
    """Connect as `board` does, for a verb that reads once and ends: slow imports are avoided."""
    try:
        url = broker_url(farm_section(config.default_path()) or settings())
    except BrokerError:  # perhaps the section farm has another name by mistake, which `settings` reports
        url = broker_url(settings())
    return QuickReader(url, patience_s)


def settings(section: str = "farm") -> config.Config:
    """Load this machine's settings for a verb. Raises ConfigError.

    A verb needs one section only, most of them the broker and the host's name in `farm`. While plotman.yaml
    has a mistake elsewhere, workers run with the last good file, and operators must be able to see and
    control them: then the mistake is logged once as a warning.

    section: the one that must be right. If it is not, or not there, the last good file is used.
    """
    try:
        return config.load()
    except ConfigError:
        from common.config import loader
        from common.config.watch import last_good  # late: not needed if the file is right

        path = config.default_path()
        reading = loader.read(path)
        errors = [problem for problem in reading.problems if problem.level is config.Level.ERROR]
        is_right = reading.readable is not None and not any(
            problem.key.partition(".")[0] == section for problem in errors
        )
        is_there = isinstance(reading.document.data, dict) and section in reading.document.data
        found = reading.readable if is_right and is_there else last_good(path)
        found = found or (reading.readable if is_right else None)
        if found is None:
            raise
        more = f" And {counted(len(errors) - 1, 'more error')}." if len(errors) > 1 else ""
        _warn(f"{errors[0]}{more} The last good plotman.yaml stays in effect: see `plotman config check`.")
        return found


@cache
def _warn(text: str) -> None:
    """Log a warning once per process: a verb loads the settings several times."""
    _log.warning("%s", text, extra={"action": "config-warning"})


def read_farm(at: BoardReader, known: dict[tuple[Role, str], tuple[str, Any]] | None = None) -> FarmState:
    """Read the whole board. Raises BrokerError.

    known: cache for repeated reads; unchanged snapshots come from there.
    """
    at.spoilt = Spoilt()
    words = {role: at.last_words(role, known) for role in Role}
    stale = {(role, host) for role in Role for host, (_, alive) in words[role].items() if not alive}

    def last(role: Role) -> dict[str, Any]:
        return {host: snapshot for host, (snapshot, _) in words[role].items()}

    at.measure_clock()
    now = CLOCK.now()
    moves = {
        (host, move.path): move
        for host, moves in at.moves(list({**words[Role.PLOTTER], **words[Role.ARCHIVER]})).items()
        for move in moves
        if move.retry_at is None and move.expires_at > now
    }
    return FarmState(
        at=now, plotters=last(Role.PLOTTER), archivers=last(Role.ARCHIVER), harvesters=last(Role.HARVESTER),
        waits=at.waits(), stale=frozenset(stale), moves=moves, leader=at.leader(),
        spoilt=at.spoilt.by_host(), redis_trouble=at.trouble(),
    )  # fmt: skip


def narrowed(farm: FarmState, host: str | None) -> FarmState:
    """Return the farm with only this host; None: unchanged. Raises NoSuchHost."""
    if host is None:
        return farm
    known = {*farm.plotters, *farm.archivers, *farm.harvesters, *farm.spoilt}
    if host not in known:
        raise NoSuchHost.called(host, known)

    def only(snapshots: dict[str, Any]) -> dict[str, Any]:
        return {name: snapshot for name, snapshot in snapshots.items() if name == host}

    waits = farm.waits
    if waits is not None:
        kept = tuple(wait for wait in waits.waits if wait.host == host)
        waits = waits.model_copy(update={"waits": kept})
    return replace(
        farm, plotters=only(farm.plotters), archivers=only(farm.archivers), harvesters=only(farm.harvesters),
        waits=waits, stale=frozenset(silent for silent in farm.stale if silent[1] == host),
        moves={known: move for known, move in farm.moves.items() if known[0] == host},
        spoilt=only(dict(farm.spoilt)),
    )  # fmt: skip
