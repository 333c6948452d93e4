"""Why nothing starts or moves, and what does: `plotman why`.

The rule that decides also explains: the text is from beat's Wait. If no beat decides, the same rules are
applied here.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from beat.policy.decide import decide
from beat.policy.decision import Start
from beat.policy.remedies import remedy
from beat.policy.starts.farm_rules import NO_LIMITS, FarmLimits
from common.errors import ConfigError, ExitCode, PlotmanError
from common.history.rows import End, TransferEnd
from common.model.board_state import BoardState
from common.model.disk_usage import trimmed
from common.model.pending import PendingMove, PendingOrder
from common.model.plot_name import fits, fits_file
from common.model.snapshot import Wait
from common.names import Role
from common.store import Board
from plotman.control.farm import FarmState, read_farm, settings
from plotman.control.queries.scheduler_status import last_decision

_SHOWN = 20  # suggestions for an unknown subject


class NoSuchSubject(PlotmanError):
    """No host, directory or plot of the farm has this name."""

    exit_code = ExitCode.NOTHING


@dataclass(frozen=True)
class WhyAnswer:
    """One host, directory, plot or drive, and what it does or why it waits.

    kind: host, tmp, tmp2, dst, plot, job or drive. subject: directory, or the plot's path or id; None: the
    host as a whole.
    rule: the one that stops it; None: none. until: when this rule ends if nothing else changes; expected_at:
    an estimate if the rule does not know; when: text for either. below_host: the text where the answer of its
    host stands above, with the reason. names: names that select it. plot_id: its
    start selects it, too. job_ids: pid and task id of a job.
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
    below_host: str | None = None
    names: frozenset[str] = frozenset()
    plot_id: str | None = None
    job_ids: tuple[int, str] | None = None

    @property
    def remedy(self) -> str:
        return "" if self.rule is None else remedy(self.rule, self.host, self.subject)


@dataclass(frozen=True)
class FarmPicture:
    """The farm with its orders, moves and waits.

    leader: the beat that decides; None: none does, and `waits` and `starts` come from the rules applied here.
    """

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
    """Read the board. Raises BrokerError. limits: of the farm, if the rules are applied here."""
    farm = read_farm(at)
    hosts = list(farm.plotters)
    orders, moves = at.orders(hosts), at.moves(list({**farm.plotters, **farm.archivers}))
    if farm.leader is not None and farm.waits is not None:
        return FarmPicture(farm, orders, moves, farm.waits.waits, farm.leader)
    board = BoardState(
        farm.alive(Role.PLOTTER), farm.alive(Role.ARCHIVER), farm.alive(Role.HARVESTER), orders, moves,
        {host: last for host, last in farm.plotters.items() if (Role.PLOTTER, host) in farm.stale},
        lost_harvesters={
            host: last for host, last in farm.harvesters.items() if (Role.HARVESTER, host) in farm.stale
        },
    )  # fmt: skip
    decision = decide(board, farm.at, limits)
    return FarmPicture(farm, orders, moves, decision.waits, farm.leader, decision.starts)


def limits_here() -> FarmLimits:
    """Return the limits in this machine's plotman.yaml, which may differ from the scheduler's."""
    try:
        farm = settings().farm
    except ConfigError:
        return NO_LIMITS
    return FarmLimits.of(farm.max_jobs, farm.stagger_m)


def about(answers: Iterable[WhyAnswer], subject: str | None) -> list[WhyAnswer]:
    """Select the answers about a subject. Raises NoSuchSubject with suggestions.

    subject: a host, a directory (also HOST:DIR), or a plot (path, file name, start of its id, or as in
    common.model.plot_name); None: all.
    """
    everything = list(answers)
    if subject is None:
        return everything
    found = [answer for answer in everything if answer.host == subject]
    found = found or [answer for answer in everything if trimmed(subject) in answer.names]
    host, _, path = subject.partition(":")
    found = found or [
        answer for answer in everything if answer.host == host and path and trimmed(path) in answer.names
    ]
    found = found or [
        answer
        for answer in everything
        if fits(subject, answer.host, *(answer.job_ids or (-1, "")), answer.plot_id)
    ]
    if found:
        return found
    known = sorted({name for answer in everything for name in (answer.host, *answer.names)})
    known += sorted({answer.plot_id[:8] for answer in everything if answer.plot_id})
    near = difflib.get_close_matches(subject, known, _SHOWN, 0.75)
    if near:
        hint = f"Perhaps {', '.join(near)}."
    elif known:
        hosts = ", ".join(sorted({answer.host for answer in everything}))
        hint = f"Hosts: {hosts}. See `plotman status`, `dirs`, and `history` for former plots."
    else:
        hint = "The farm is empty: start `plotman up`."
    raise NoSuchSubject(f"{subject} is no host, directory or plot of the farm.", hint)


def archived(rows: Iterable[TransferEnd], subject: str) -> list[WhyAnswer]:
    """Answer about plots that have left their plotter, by the history. subject: a plot, as for `about`."""
    return [
        WhyAnswer(
            row.host,
            "plot",
            row.path,
            f"archived {row.ended_at.astimezone():%Y-%m-%d %H:%M:%S} on "
            f"{row.harvester or '?'}:{row.landed or row.drive or '?'}"
            + (f": {row.verified}" if row.verified else ""),
            plot_id=row.plot_id,
        )
        for row in rows
        if row.end is End.ARCHIVED and row.path and fits_file(subject, row.path)
    ]


def as_dict(seen: FarmPicture, answers: Iterable[WhyAnswer]) -> dict[str, Any]:
    """Make the output of `plotman why --json`: documented in docs/cli.md."""
    waits = seen.farm.waits
    return {
        "version": 1,
        "updated": seen.now.isoformat(),
        "decided_by": seen.leader,
        "redis": seen.farm.redis_trouble,
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
                "cure": answer.remedy or None,
            }
            for answer in answers
        ],
    }


def headings(seen: FarmPicture) -> list[str]:
    """Describe first what is wrong with Redis, and that no beat decides; empty if all is well."""
    trouble = seen.farm.redis_trouble
    found = [] if trouble is None else [trouble]
    if seen.leader is None:
        cure = f" {remedy('no scheduler', '')}" if trouble is None else ""
        found.append(f"No scheduler decides now{last_decision(seen.farm)}.{cure} By its rules, applied here:")
    return found
