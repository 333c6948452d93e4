"""What is known of a machine that is gone for good, and how it is struck off the notice board."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from beat.policy.lost_hosts import still_running
from common import config
from common.errors import PlotmanError
from common.model.snapshot import Event, age_s
from common.model.units import counted, human_duration
from common.names import SNAPSHOT_TTL, Role, queue
from plotman.control.actions.holds import whoever_asks
from plotman.control.farm import FarmState, NoSuchHost, board, look


class HostIsAlive(PlotmanError):
    """A machine that tells of itself is not forgotten."""


@dataclass(frozen=True)
class LostHost:
    """A silent host.

    ages_s: how old the last word of each of its roles is; None: it stands on the board no more.
    jobs: its plots that may still run, and count for the farm's limits. moves: those on their way to a drive.
    waiting: plots of others that it may have taken in, by plotter: nobody else takes them.
    messages: for its workers, not fetched.
    """

    host: str
    ages_s: Mapping[Role, float | None]
    jobs: int
    moves: int
    waiting: Mapping[str, int]
    messages: int


def find(host: str) -> LostHost:
    """Raises NoSuchHost; StillThere where one of its roles is alive."""
    at = board()
    farm, listed = look(at), at.hosts()
    roles = [role for role in Role if host in listed[role]]
    if not roles:
        known = ", ".join(sorted(set(chain.from_iterable(listed.values())))) or "none"
        raise NoSuchHost(f"No host is called {host}.", f"Hosts that were ever seen: {known}.")
    words = {role: last[host] for role, last in _words(farm).items() if host in last}
    if alive := [role for role in words if (role, host) not in farm.stale]:
        raise _still_there(host, alive)
    plotter = farm.plotters.get(host)
    return LostHost(
        host=host,
        ages_s={role: age_s(words[role].at, farm.at) if role in words else None for role in roles},
        jobs=0 if plotter is None else len(still_running(plotter, farm.at).jobs),
        moves=sum(name == host for name, _ in farm.moves),
        waiting=Counter(
            name
            for name, snapshot in farm.plotters.items()
            for plot in snapshot.plots
            if plot.copied_to == host != name
        ),
        messages=sum(at.queue_lengths([queue(role, host) for role in Role]).values()),
    )


def silent_hosts(farm: FarmState) -> set[str]:
    """Those of which no role is alive."""
    seen = {(role, host) for role, words in _words(farm).items() for host in words}
    return {host for _, host in seen} - {host for _, host in seen - farm.stale}


def lines(gone: LostHost) -> list[str]:
    """What is forgotten with the host, and what follows from that."""
    ages = (
        f"{role}, last word {'more than a month' if age is None else human_duration(age)} ago"
        for role, age in gone.ages_s.items()
    )
    told = [f"{gone.host}: {'; '.join(ages)}"]
    if gone.jobs:
        told.append(
            f"  {counted(gone.jobs, 'plot')} in the making may still run there and count for farm.max_jobs; "
            "forgotten they do not, and others may start in their place"
        )
    if gone.moves:
        told.append(f"  {counted(gone.moves, 'plot')} of it on the way to a drive")
    for plotter, plots in gone.waiting.items():
        told.append(
            f"  {counted(plots, 'plot')} of {plotter} may be on its drives, and no other harvester takes "
            f"{'it' if plots == 1 else 'them'} before `plotman resend`"
        )
    if gone.messages:
        told.append(f"  {counted(gone.messages, 'message')} for it, to be deleted")
    return told


def forget(host: str) -> str:
    """Strike it off; what was done, for people. Raises StillThere where it has come back meanwhile."""
    here, by, at = config.load().host, whoever_asks(), board()
    if not at.forget_host(host):
        raise _still_there(host)
    # Told of the machine where it was said: nothing new shall stand on the board of the one that is gone.
    text = f"{host} is forgotten, says {by}"
    at.tell(Event(kind="steered", host=here, at=datetime.now(UTC), text=text))
    return f"{host} is forgotten."


def _words(farm: FarmState) -> dict[Role, Mapping[str, Any]]:
    """By role, and host."""
    return {Role.PLOTTER: farm.plotters, Role.ARCHIVER: farm.archivers, Role.HARVESTER: farm.harvesters}


def _still_there(host: str, alive: Sequence[Role] = ()) -> HostIsAlive:
    who = f"its {', '.join(alive)}" if alive else "it"
    return HostIsAlive(
        f"{host} is not gone: {who} told of itself within the last {SNAPSHOT_TTL.total_seconds():.0f} s.",
        "Stop `plotman up` there, and wait until `plotman status` shows it silent.",
    )
