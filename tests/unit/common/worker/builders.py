"""A board in memory, and steps of a move."""

from __future__ import annotations

from common.errors import BrokerError
from common.model.pending import MoveStep, PendingMove
from common.worker.move_step import Step

PATH = "/dst/a.plot"


class FakeBoard:
    """Remembers moves as Redis would; `away` makes it as silent."""

    def __init__(self) -> None:
        self.kept: dict[str, PendingMove] = {}
        self.writes = 0
        self.away = False

    def _answer(self) -> None:
        if self.away:
            raise BrokerError("Redis does not answer.")

    def put_move(self, host: str, move: PendingMove) -> None:
        self._answer()
        self.writes += 1
        self.kept[move.path] = move

    def drop_move(self, host: str, path: str) -> None:
        self._answer()
        self.kept.pop(path, None)

    def moves(self, hosts: list[str]) -> dict[str, list[PendingMove]]:
        self._answer()
        return {hosts[0]: list(self.kept.values())}


def step(kind: MoveStep = MoveStep.ADMIT, then: MoveStep | None = MoveStep.RELEASE) -> Step:
    return Step(kind, "plotter", "harvester", PATH, 1000, "harvester", "task", "0f", then)
