"""Pauses, drains and limits: which hosts a word is for, and what they answer to it."""

from __future__ import annotations

import difflib
import getpass
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from common import config
from common.errors import ExitCode, PlotmanError
from common.model.paths import one_spelling
from common.names import BANDWIDTH, DRAIN, DRAIN_DRIVES, PAUSE, UNDRAIN, UNDRAIN_DRIVES, UNPAUSE, Role
from plotman.control.farm import FarmState, NoSuchHost, board, look
from plotman.control.rpc import NoAnswer, TaskCall, ask_each

EVERY = "all"
_TASKS = {True: {Role.PLOTTER: DRAIN, Role.HARVESTER: DRAIN_DRIVES},
          False: {Role.PLOTTER: UNDRAIN, Role.HARVESTER: UNDRAIN_DRIVES}}  # fmt: skip


class NoSuchPlace(PlotmanError):
    """No host has this directory."""

    exit_code = ExitCode.NOTHING


@dataclass(frozen=True)
class HoldPlace:
    """host: None is the whole farm. dir: None is the host as a whole."""

    host: str | None
    dir: str | None = None


@dataclass(frozen=True)
class HoldAnswers:
    """Who answered, and what: a sentence, or why there is none. more: keys of the answer beside it."""

    host: str
    answer: str | PlotmanError
    more: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, host: str, answer: Any) -> HoldAnswers:
        """answer: of a task: a sentence, a dict that has it as `answer`, or why there is none."""
        if isinstance(answer, PlotmanError):
            return cls(host, answer)
        if isinstance(answer, Mapping) and "answer" in answer:
            return cls(host, str(answer["answer"]), {key: answer[key] for key in answer if key != "answer"})
        return cls(host, str(answer))


def place(text: str, here: str) -> HoldPlace:
    """`all`, `HOST`, `HOST:DIR`, or `DIR` of the machine `here`. Raises ValueError."""
    if text == EVERY:
        return HoldPlace(None)
    host, colon, folder = (here, ":", text) if text.startswith("/") else text.partition(":")
    if not host or (colon and not folder.startswith("/")):
        raise ValueError(f"{text} is none of all, HOST, HOST:/DIR and /DIR")
    return HoldPlace(host, one_spelling(folder) if colon else None)


def directories(farm: FarmState) -> dict[tuple[Role, str], list[str]]:
    """(role, host) -> what may be drained there, as last told."""
    found: dict[tuple[Role, str], list[str]] = {}
    for host, plotter in farm.plotters.items():
        tmp2 = [] if plotter.tmp2 is None else [plotter.tmp2]
        listed = [directory.path for directory in (*plotter.tmp_dirs, *tmp2, *plotter.dst_dirs)]
        found[Role.PLOTTER, host] = list(dict.fromkeys(listed))
    for host, harvester in farm.harvesters.items():
        found[Role.HARVESTER, host] = [drive.path for drive in harvester.drives]
    return found


def concerned(place: HoldPlace, farm: FarmState) -> list[tuple[Role, str]]:
    """The roles of hosts for which a word about this place is, silent ones too. Raises NoSuchHost,
    NoSuchPlace."""
    known = directories(farm)
    if place.host is None:
        if not known:
            raise NoSuchHost("No host was ever seen.", "Start `plotman up` on the machines of the farm.")
        return sorted(known)
    mine = [key for key in sorted(known) if key[1] == place.host]
    if not mine:
        hosts = sorted({host for _, host in known})
        raise NoSuchHost(
            f"No host is called {place.host}.", f"Hosts that were ever seen: {', '.join(hosts) or 'none'}."
        )
    if place.dir is None:
        return mine
    having = [key for key in mine if place.dir in known[key]]
    if not having:
        listed = [folder for key in mine for folder in known[key]]
        near = difflib.get_close_matches(place.dir, listed, 1, cutoff=0.8)
        cure = f"Did you mean {near[0]}?" if near else f"It has {', '.join(listed)}."
        raise NoSuchPlace(f"{place.host} has no directory or drive {place.dir}.", cure)
    return having


def drain(
    places: Sequence[str], on: bool, until: datetime | None = None, reason: str | None = None
) -> list[HoldAnswers]:
    """Drain these places, or with `on` False take plots there again; `all` is then also each directory and
    drive that was drained by itself. Raises ValueError for what is no place,
    NoSuchHost, NoSuchPlace: then nothing was said to anybody."""
    farm, here = look(board()), config.load().host
    meant = [place(text, here) for text in places]
    wanted = [(role, host, one) for one in meant for role, host in concerned(one, farm)]
    details = _details(until, reason) if on else {}
    return _say(
        farm,
        [
            (role, TaskCall(_TASKS[on][role], host, details | _where(one, on)))
            for role, host, one in dict.fromkeys(wanted)
        ],
    )


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
    """Start no more plots or transfers on this plotter; None: on all. Raises NoSuchHost."""
    details = {"what": what, **_details(until, reason)} | ({} if after is None else {"after": after})
    return _to_plotters(PAUSE, host, details)


def unpause(what: str, host: str | None) -> list[HoldAnswers]:
    return _to_plotters(UNPAUSE, host, {"what": what})


def bandwidth(bytes_s: int | None, host: str | None) -> list[HoldAnswers]:
    """Limit what this plotter sends; None: what each does. bytes_s: 0 for no limit, None for that of its
    plotman.yaml. Raises NoSuchHost."""
    return _to_plotters(BANDWIDTH, host, {} if bytes_s is None else {"bytes_s": bytes_s})


def _to_plotters(task: str, host: str | None, details: dict[str, Any]) -> list[HoldAnswers]:
    farm = look(board())
    plotters = [(role, name) for role, name in concerned(HoldPlace(host), farm) if role is Role.PLOTTER]
    if not plotters:
        known = ", ".join(sorted(farm.plotters)) or "none"
        raise NoSuchHost(f"{host or 'The farm'} has no plotter.", f"Plotters that were ever seen: {known}.")
    return _say(farm, [(role, TaskCall(task, name, details)) for role, name in plotters])


def _details(until: datetime | None, reason: str | None) -> dict[str, Any]:
    said = {"by": whoever_asks(), "reason": reason}
    when = {"until": until.isoformat()} if until else {}
    return {key: value for key, value in said.items() if value} | when


def whoever_asks() -> str:
    """`user@machine`, of this process. Raises ConfigError."""
    return f"{_person()}@{config.load().host}"


def _person() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in some containers
        return "somebody"


def _say(farm: FarmState, questions: Sequence[tuple[Role, TaskCall]]) -> list[HoldAnswers]:
    """Ask those that are alive, all at once; of the silent ones, only say so."""
    alive = [question for role, question in questions if (role, question.host) not in farm.stale]
    said = [
        HoldAnswers.of(question.host, answer) for question, answer in zip(alive, ask_each(alive), strict=True)
    ]
    for role, question in questions:
        if (role, question.host) in farm.stale:
            silent = NoAnswer(
                f"The {role} of {question.host} is silent and was not told.",
                "Start `plotman up` there, then say it again.",
            )
            said.append(HoldAnswers(question.host, silent))
    return said
