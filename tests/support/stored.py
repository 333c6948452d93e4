"""Plots on drives of harvesters, on paper: their classes, a farm that reports them, answers to questions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from common.model.plot_class import PoolKind
from common.model.snapshot import ArchiverSnapshot, DirState, Drive, HarvesterSnapshot
from common.names import Role
from plotman.control.farm import FarmState
from plotman.control.queries import inventory
from plotman.control.rpc import TaskCall

T = datetime(2026, 11, 30, tzinfo=UTC)
OG = {"format": "v1.0", "k": 32, "compression": 0, "pool": PoolKind.KEY, "pool_key": "ab" * 48}
C7 = {"format": "bladebit 2", "k": 32, "compression": 7, "pool": PoolKind.CONTRACT, "pool_key": "05" * 32}

Answer = Callable[[TaskCall], Any]


def harvester(*drives: Drive, host: str = "h1", **more: Any) -> HarvesterSnapshot:
    """A harvester whose plots may be replaced."""
    drives = drives or (drive("/1"), drive("/2"))
    return HarvesterSnapshot(**{"host": host, "at": T, "drives": drives, "replot": True} | more)


def drive(path: str, **more: Any) -> Drive:
    return Drive(**{"path": path, "state": DirState.OK, "free_bytes": 10**9} | more)


def farm(
    *harvesters: HarvesterSnapshot, silent: tuple[str, ...] = (), archivers: tuple[ArchiverSnapshot, ...] = ()
) -> FarmState:
    return FarmState(
        at=T,
        plotters={},
        archivers={one.host: one for one in archivers},
        harvesters={one.host: one for one in harvesters},
        waits=None,
        stale=frozenset((Role.HARVESTER, host) for host in silent),
    )


def let_answer(
    monkeypatch: pytest.MonkeyPatch, answers: Mapping[str, Answer], silent: tuple[str, ...] = ()
) -> list[TaskCall]:
    """Let harvesters answer questions about their inventory; returns the calls so far."""
    calls: list[TaskCall] = []

    def ask_each(questions: list[TaskCall], **_: Any) -> list[Any]:
        calls.extend(questions)
        assert len(calls) < 500, "it is asked for ever"
        return [answers[call.host](call) for call in questions]

    monkeypatch.setattr(inventory, "ask_each", ask_each)
    monkeypatch.setattr(inventory, "hosts_of", lambda *_: (list(answers), [*answers, *silent]))
    return calls
