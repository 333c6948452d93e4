"""Pauses, drains and bandwidth limits: send them to the hosts concerned, and collect the answers."""

from __future__ import annotations

import difflib
import getpass
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from common.errors import ExitCode, PlotmanError
from common.model.paths import one_spelling
from common.names import BANDWIDTH, DRAIN, DRAIN_DRIVES, PAUSE, UNDRAIN, UNDRAIN_DRIVES, UNPAUSE, Role
from plotman.control.farm import FarmState, NoSuchHost, board, read_farm, settings
from plotman.control.rpc import NoAnswer, TaskCall, ask_each

EVERY = "all"
_TASKS = {True: {Role.PLOTTER: DRAIN, Role.HARVESTER: DRAIN_DRIVES},
          False: {Role.PLOTTER: UNDRAIN, Role.HARVESTER: UNDRAIN_DRIVES}}  # fmt: skip


class NoSuchPlace(PlotmanError):
    """No host has this directory."""

    exit_code = ExitCode.NOTHING


@dataclass(frozen=True)
class HoldPlace:
    """A PLACE of the command line. host: None is the whole farm. dir: None is the host as a whole."""

    host: str | None
    dir: str | None = None


@dataclass(frozen=True)
class HoldAnswers:
    """The answer of one host: a sentence, or why there is none. more: further keys of the answer."""

    host: str
    answer: str | PlotmanError
    more: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, host: str, answer: Any) -> HoldAnswers:
        """Read a task's answer: a sentence, a dict that has it as `answer`, or why there is none."""
        if isinstance(answer, PlotmanError | str):
            return cls(host, answer)
        return cls(host, answer["answer"], {key: answer[key] for key in ("lifted", "drained")})


def place(text: str, here: str) -> HoldPlace:
    """Parse `all`, `HOST`, `HOST:DIR`, or `DIR` of the machine `here`. Raises ValueError."""
    if text == EVERY:
        return HoldPlace(None)
    host, colon, folder = (here, ":", text) if text.startswith("/") else text.partition(":")
    if not host or (colon and not folder.startswith("/")):
        raise ValueError(f"{text} is none of all, HOST, HOST:/DIR and /DIR")
    return HoldPlace(host, one_spelling(folder) if colon else None)


def directories(farm: FarmState) -> dict[tuple[Role, str], list[str]]:
    """Return by (role, host) what may be drained there, by the last snapshots."""
    found: dict[tuple[Role, str], list[str]] = {}
    for host, plotter in farm.plotters.items():
        tmp2 = [] if plotter.tmp2 is None else [plotter.tmp2]
        listed = [directory.path for directory in (*plotter.tmp_dirs, *tmp2, *plotter.dst_dirs)]
        found[Role.PLOTTER, host] = list(dict.fromkeys(listed))
    for host, harvester in farm.harvesters.items():
        found[Role.HARVESTER, host] = [drive.path for drive in harvester.drives]
    return found


def concerned(place: HoldPlace, farm: FarmState) -> list[tuple[Role, str]]:
    """Return the (role, host) that have this place, also silent ones. Raises NoSuchHost, NoSuchPlace."""
    known = directories(farm)
    if place.host is None:
        if not known:
            raise NoSuchHost("No host was ever seen.", "Start `plotman up` on the machines of the farm.")
        return sorted(known)
    mine = [key for key in sorted(known) if key[1] == place.host]
    if not mine:
        raise NoSuchHost.called(place.host, {host for _, host in known})
    if place.dir is None:
        return mine
    having = [key for key in mine if place.dir in known[key]]
    if not having:
        listed = [folder for key in mine for folder in known[key]]
        near = difflib.get_close_matches(place.dir, listed, 1, cutoff=0.8)
        remedy = f"Did you mean {near[0]}?" if near else f"It has {', '.join(listed)}."
        raise NoSuchPlace(f"{place.host} has no directory or drive {place.dir}.", remedy)
    return having


def drain(
    places: Sequence[str], on: bool, until: datetime | None = None, reason: str | None = None
) -> list[HoldAnswers]:
    """Drain these places, or undrain them.

    Args:
        on: False: undrain; `all` then includes each directory and drive that was drained by itself.
        until: when the drain ends; None: by undrain.

    Raises:
        ValueError, NoSuchHost, NoSuchPlace: a place is wrong; nothing was sent to any host.
    """
    farm, here = read_farm(board()), settings().host
    meant = [place(text, here) for text in places]
    wanted = [(role, host, one) for one in meant for role, host in concerned(one, farm)]
    details = _details(until, reason) if on else {}
    calls = [
        (role, TaskCall(_TASKS[on][role], host, details | _where(one, on)))
        for role, host, one in dict.fromkeys(wanted)
    ]
    return _send(farm, calls)


def _where(place: HoldPlace, on: bool) -> dict[str, Any]:
    if place.dir is not None:
        return {"dir": place.dir}
    return {} if on or place.host is not None else {"everything": True}


def pause(
    what: str,
    host: str | None,
    until: datetime | None = None,
    reason: str | None = None,
    after: int | None = None,
) -> list[HoldAnswers]:
    """Start no more plots or transfers. Raises NoSuchHost.

    what: plotting or archiving. host: the plotter; None: all. until: when the pause ends; None: by unpause.
    after: number of plots that may still start.
    """
    details = {"what": what, **_details(until, reason)} | ({} if after is None else {"after": after})
    return _to_plotters(PAUSE, host, details)


def unpause(what: str, host: str | None) -> list[HoldAnswers]:
    """Start plots or transfers again. what, host: as for `pause`. Raises NoSuchHost."""
    return _to_plotters(UNPAUSE, host, {"what": what})


def bandwidth(bytes_s: int | None, host: str | None) -> list[HoldAnswers]:
    """Limit what plotters send. Raises NoSuchHost.

    bytes_s: bytes per second; 0: no limit; None: the limit of its plotman.yaml. host: the plotter; None: all.
    """
    return _to_plotters(BANDWIDTH, host, {} if bytes_s is None else {"bytes_s": bytes_s})


def _to_plotters(task: str, host: str | None, details: dict[str, Any]) -> list[HoldAnswers]:
    farm = read_farm(board())
    plotters = [(role, name) for role, name in concerned(HoldPlace(host), farm) if role is Role.PLOTTER]
    if not plotters:
        known = ", ".join(sorted(farm.plotters)) or "none"
        raise NoSuchHost(f"{host or 'The farm'} has no plotter.", f"Plotters that were ever seen: {known}.")
    return _send(farm, [(role, TaskCall(task, name, details)) for role, name in plotters])


def _details(until: datetime | None, reason: str | None) -> dict[str, Any]:
    details = {"by": requester(), "reason": reason, "until": until.isoformat() if until else None}
    return {key: value for key, value in details.items() if value}


def requester() -> str:
    """Return `user@machine` of this process. Raises ConfigError."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in some containers
        user = "somebody"
    return f"{user}@{settings().host}"


def _send(farm: FarmState, calls: Sequence[tuple[Role, TaskCall]]) -> list[HoldAnswers]:
    """Call all live hosts at the same time. Silent ones are not called, and get an error as their answer."""
    alive = [call for role, call in calls if (role, call.host) not in farm.stale]
    answers = [HoldAnswers.of(call.host, answer) for call, answer in zip(alive, ask_each(alive), strict=True)]
    for role, call in calls:
        if (role, call.host) in farm.stale:
            silent = NoAnswer(
                f"{farm.absence_text(role, call.host)}; nothing was sent to it.",
                "Start `plotman up` there, then repeat the command.",
            )
            answers.append(HoldAnswers(call.host, silent))
    return answers
