"""Remove a machine that is lost for good from the notice board, and list what is known of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from beat.policy.lost_hosts import still_running
from common.errors import PlotmanError
from common.model.snapshot import Event, age_s
from common.model.units import counted, human_duration
from common.names import SNAPSHOT_TTL, Role, queue
from common.store.farm_clock import CLOCK
from plotman.control.actions.holds import requester
from plotman.control.farm import FarmState, NoSuchHost, board, read_farm, settings


class HostIsAlive(PlotmanError):
    """A machine with a live worker is not removed."""


@dataclass(frozen=True)
class LostHost:
    """A silent host.

    ages_s: age of the last snapshot of each of its roles; None: the board no longer has it.
    jobs: its plots that may still run and count for the farm's limits. moves: its plots on their way to a
    drive.
    waiting: by plotter, number of plots that it may have received; they go to no other harvester.
    messages: number of messages that wait for its workers.
    """

    host: str
    ages_s: Mapping[Role, float | None]
    jobs: int
    moves: int
    waiting: Mapping[str, int]
    messages: int


def find(host: str) -> LostHost:
    """Collect what is known of a silent host. Raises NoSuchHost, or HostIsAlive."""
    at = board()
    farm, listed = read_farm(at), at.hosts()
    roles = [role for role in Role if host in listed[role]]
    if not roles:
        raise NoSuchHost.called(host, set(chain.from_iterable(listed.values())))
    last = {role: snapshots[host] for role, snapshots in farm.snapshots.items() if host in snapshots}
    if alive := [role for role in last if (role, host) not in farm.stale]:
        raise _is_alive(host, alive)
    plotter = farm.plotters.get(host)
    return LostHost(
        host=host,
        ages_s={role: age_s(last[role].at, farm.at) if role in last else None for role in roles},
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
    """Return the hosts without any live worker."""
    seen = {(role, host) for role, snapshots in farm.snapshots.items() for host in snapshots}
    return {host for _, host in seen} - {host for _, host in seen - farm.stale}


def lines(lost: LostHost) -> list[str]:
    """List what is removed with the host, and the consequences."""
    ages = (
        f"{role}, last seen {'more than a month' if age is None else human_duration(age)} ago"
        for role, age in lost.ages_s.items()
    )
    listed = [f"{lost.host}: {'; '.join(ages)}"]
    if lost.jobs:
        listed.append(
            f"  {counted(lost.jobs, 'plot')} may still run there and count for farm.max_jobs; after this, "
            "others may start in their place"
        )
    if lost.moves:
        listed.append(f"  {counted(lost.moves, 'plot')} of it on the way to a drive")
    for plotter, plots in lost.waiting.items():
        listed.append(
            f"  {counted(plots, 'plot')} of {plotter} may be on its drives, and no other harvester gets "
            f"{'it' if plots == 1 else 'them'} before `plotman resend`"
        )
    if lost.messages:
        listed.append(f"  {counted(lost.messages, 'message')} for it, to be deleted")
    return listed


def forget(host: str) -> str:
    """Remove the host; returns a sentence for the operator. Raises HostIsAlive if it has come back."""
    here, by, at = settings().host, requester(), board()
    if not at.forget_host(host):
        raise _is_alive(host)
    # The event is of this machine: the board must get nothing new of the removed one.
    text = f"{host} is forgotten, by {by}"
    at.tell(Event(kind="steered", host=here, at=CLOCK.now(), text=text))
    return f"{host} is forgotten."


def _is_alive(host: str, alive: Sequence[Role] = ()) -> HostIsAlive:
    who = f"its {', '.join(alive)}" if alive else "it"
    return HostIsAlive(
        f"{host} is not lost: {who} was seen within the last {SNAPSHOT_TTL.total_seconds():.0f} s.",
        "Stop `plotman up` there, and wait until `plotman status` shows it as stopped or silent.",
    )
