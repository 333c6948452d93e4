"""Why nothing starts or moves, and what does: `plotman why`. The rule that decides is the rule that explains:
what people read is beat's own Wait, or, where no beat decides, that of the same rules asked here."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from beat.policy.decide import decide
from beat.policy.decision import Start
from beat.policy.remedies import cure
from beat.policy.starts.farm_rules import NO_LIMITS, FarmLimits
from common import config
from common.errors import ConfigError, ExitCode, PlotmanError
from common.model.board_state import BoardState
from common.model.pending import PendingMove, PendingOrder
from common.model.selectors import fits
from common.model.snapshot import Wait
from common.model.units import human_duration
from common.names import Role
from common.store import Board
from plotman.control.farm import FarmState, look

_SHOWN = 20  # candidates for a subject that nobody knows


class NoSuchSubject(PlotmanError):
    """No host, directory or plot of the farm is called so."""

    exit_code = ExitCode.NOTHING


@dataclass(frozen=True)
class WhyAnswer:
    """One thing, and why it waits or what it does.

    kind: host, tmp, plot, job or drive. subject: directory, plot's path or id; None: the host as a whole.
    rule: that says no; None: it goes on. until: when that rule would let it pass if nothing else changed;
    expected_at: our guess where the rule cannot tell, and `when` the words for either. cure: what to do.
    names: under which it is found. plot_id: of the plot meant; found by its start.
    """

    host: str
    kind: str
    subject: str | None
    text: str
    rule: str | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)
    until: datetime | None = None
    expected_at: datetime | None = None
    when: str | None = None
    names: frozenset[str] = frozenset()
    plot_id: str | None = None
    handles: tuple[int, str] | None = None  # pid and task id, of a job

    @property
    def cure(self) -> str:
        return "" if self.rule is None else cure(self.rule, self.host)


@dataclass(frozen=True)
class FarmPicture:
    """The farm with all that was ordered, and what waits. leader: the beat that decides; None: none does, and
    `waits` and `starts` are what the rules say when they are asked here."""

    farm: FarmState
    orders: Mapping[str, Sequence[PendingOrder]]
    moves: Mapping[str, Sequence[PendingMove]]
    waits: tuple[Wait, ...]
    leader: str | None
    starts: tuple[Start, ...] = ()

    @property
    def now(self) -> datetime:
        return self.farm.at

    def of(self, host: str, subject: str | None) -> list[Wait]:
        return [wait for wait in self.waits if wait.host == host and wait.subject == subject]


def picture(at: Board, limits: FarmLimits) -> FarmPicture:
    """Read the board. limits: of the farm, for rules that are asked here. Raises BrokerError."""
    farm = look(at)
    hosts = list(farm.plotters)
    orders, moves = at.orders(hosts), at.moves(hosts)
    if farm.leader is not None and farm.waits is not None:
        return FarmPicture(farm, orders, moves, farm.waits.waits, farm.leader)
    board = BoardState(
        _alive(farm, Role.PLOTTER, farm.plotters),
        _alive(farm, Role.ARCHIVER, farm.archivers),
        _alive(farm, Role.HARVESTER, farm.harvesters),
        orders,
        moves,
        {host: last for host, last in farm.plotters.items() if (Role.PLOTTER, host) in farm.stale},
    )
    decision = decide(board, farm.at, limits)
    return FarmPicture(farm, orders, moves, decision.waits, farm.leader, decision.starts)


def _alive(farm: FarmState, role: Role, snapshots: Mapping[str, Any]) -> dict[str, Any]:
    return {host: snapshot for host, snapshot in snapshots.items() if (role, host) not in farm.stale}


def limits_here() -> FarmLimits:
    """As this machine's plotman.yaml has them; the scheduler's may differ. None where the file is wrong."""
    try:
        farm = config.load().farm
    except ConfigError:
        return NO_LIMITS
    return FarmLimits(farm.max_jobs, None if farm.stagger_m is None else farm.stagger_m * 60)


def about(answers: Iterable[WhyAnswer], subject: str | None) -> list[WhyAnswer]:
    """Those that concern a host, a directory or a plot (path, file name, start of its id, or what
    common.model.selectors allows); None: all. Raises NothingCalledSo with what is meant perhaps."""
    everything = list(answers)
    if subject is None:
        return everything
    found = [answer for answer in everything if answer.host == subject]
    found = found or [answer for answer in everything if _trimmed(subject) in answer.names]
    found = found or [answer for answer in everything if _is_plot(answer, subject)]
    if found:
        return found
    known = sorted({name for answer in everything for name in (answer.host, *answer.names)})
    known += sorted({answer.plot_id[:8] for answer in everything if answer.plot_id})
    near = difflib.get_close_matches(subject, known, _SHOWN, 0.75) or known[:_SHOWN]
    raise NoSuchSubject(
        f"{subject} is no host, directory or plot of the farm.",
        f"Perhaps {', '.join(near)}." if near else "The farm is empty: start `plotman up`.",
    )


def _is_plot(answer: WhyAnswer, subject: str) -> bool:
    pid, task_id = answer.handles or (-1, "")
    return fits(subject, answer.host, pid, task_id, answer.plot_id)


def _trimmed(path: str) -> str:
    return path.rstrip("/") or path


def as_dict(seen: FarmPicture, answers: Iterable[WhyAnswer]) -> dict[str, Any]:
    """`plotman why --json`: documented in docs/cli.md."""
    waits = seen.farm.waits
    return {
        "version": 1,
        "updated": seen.now.isoformat(),
        "decided_by": seen.leader,
        "waits_at": waits.at.isoformat() if waits is not None else None,
        "answers": [
            {
                "host": answer.host,
                "kind": answer.kind,
                "subject": answer.subject,
                "plot_id": answer.plot_id,
                "rule": answer.rule,
                "text": answer.text,
                "numbers": dict(answer.numbers),
                "until": answer.until.isoformat() if answer.until else None,
                "expected_at": answer.expected_at.isoformat() if answer.expected_at else None,
                "cure": answer.cure or None,
            }
            for answer in answers
        ],
    }


def heading(seen: FarmPicture) -> str | None:
    """What has to be said first: that nobody decides."""
    if seen.leader is not None:
        return None
    waits = seen.farm.waits
    last = "" if waits is None else f"; the last one did {_ago(waits.at, seen.now)}"
    return f"No scheduler decides now{last}. {cure('no scheduler', '')} By its rules, asked here:"


def _ago(then: datetime, now: datetime) -> str:
    return f"{human_duration((now - then).total_seconds())} ago"
