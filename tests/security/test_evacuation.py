"""Nobody but an operator has a farmed plot deleted: with other machines' passwords nothing leaves a drive."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis

from common.errors import OrderRefused
from common.model.messages import EvacuateOrder
from common.model.pending import MoveStep, PendingMove
from common.names import Keys
from common.store import Board
from common.system.delivered import DeliveredFile
from common.system.probe import Probe
from harvester_worker.drives import evacuated
from harvester_worker.evacuation.orders import KeptOrders
from harvester_worker.evacuation.release import EvacuatedPlots
from tests.support.secured import Secured

DIGEST = "0f" * 16
DENIED = redis.exceptions.NoPermissionError


class Attack:
    """A plot on a drive of h1, and what others may write about it."""

    def __init__(self, secured: Secured, folder: Path, real_plot: Path) -> None:
        self.secured = secured
        self.drive = folder / "drive"
        self.drive.mkdir()
        self.plot = Path(shutil.copy(real_plot, self.drive))
        self.orders = KeptOrders(folder / "state")
        self.delivered = DeliveredFile(folder / "state")
        board = Board(secured.client("h1"), "redis://h1")
        self.plots = EvacuatedPlots("h1", board, self.orders, Probe(), self.delivered)

    def record(self, harvester: str, move: str = "m") -> PendingMove:
        return PendingMove(
            path=str(self.plot),
            harvester=harvester,
            size_bytes=self.plot.stat().st_size,
            step=MoveStep.RELEASE,
            expires_at=datetime.now(UTC) + timedelta(minutes=1),
            move=move,
        )

    def forged(self, user: str, record: PendingMove) -> None:
        """Write the record of a move of h1 with another's password, which harvesters may."""
        self.secured.client(user).hset(Keys.moves("h1"), record.path, record.model_dump_json())

    def nothing_leaves(self, record: PendingMove) -> None:
        with pytest.raises(OrderRefused):
            self.plots.release(record, [str(self.drive)])
        assert self.plot.exists()

    def evacuate(self) -> None:
        order = self.orders.add(EvacuateOrder(host="h1", dir=str(self.drive)), 1, 1)
        evacuated.mark(str(self.drive), order.id)

    def sent(self, harvester: str) -> None:
        self.delivered.put(str(self.plot), harvester, self.plot.lstat(), DIGEST)


@pytest.fixture
def attack(secured: Secured, tmp_path: Path, real_plot: Path) -> Iterator[Attack]:
    yield Attack(secured, tmp_path, real_plot)
    secured.admin().flushall()


def denied(call: Callable[[], object]) -> bool:
    try:
        call()
    except DENIED:
        return True
    return False


def test_a_forged_move_and_a_forged_admission_delete_nothing_without_the_operator_s_order(
    attack: Attack,
) -> None:
    """Even beat's order and the bytes would be there: a scheduler's user may write the one, `both` its own
    note."""
    record = attack.record("both")
    attack.forged("both", record)
    Board(attack.secured.client("boss"), "redis://boss").put_ordered("h1", record.path, "m", "both")
    Board(attack.secured.client("both"), "redis://both").put_admitted(
        "both", "h1", "m", record.path, DIGEST, evacuates=True
    )
    attack.sent("both")
    attack.nothing_leaves(record)


def test_another_harvester_that_claims_the_plot_deletes_nothing_without_beat_s_order(attack: Attack) -> None:
    attack.evacuate()
    attack.sent("both")
    record = attack.record("both")
    attack.forged("both", record)
    both = Board(attack.secured.client("both"), "redis://both")
    both.put_admitted("both", "h1", "m", record.path, DIGEST, evacuates=True)
    attack.nothing_leaves(record)
    client = attack.secured.client("both")
    assert denied(lambda: client.hset(Keys.ordered("h1"), record.path, "m both"))


def test_nobody_claims_the_plot_in_the_name_of_the_harvester_that_gets_it(attack: Attack) -> None:
    attack.evacuate()
    attack.sent("both")
    record = attack.record("both")
    Board(attack.secured.client("boss"), "redis://boss").put_ordered("h1", record.path, "m", "both")
    for user in ("p1", "h1"):
        client = attack.secured.client(user)
        key = Keys.admitted("both", "h1", "m")
        assert denied(lambda client=client, key=key: client.set(key, f"{DIGEST} {record.path}")), user
    attack.nothing_leaves(record)
    both = Board(attack.secured.client("both"), "redis://both")
    both.put_admitted("both", "h1", "m", record.path, "ab" * 16, evacuates=True)
    attack.nothing_leaves(record)
    both.put_admitted("both", "h1", "m", record.path, DIGEST, evacuates=True)
    assert attack.plots.release(record, [str(attack.drive)]), "with all of it, it leaves"


@pytest.mark.parametrize("user", ["p1", "both", "eye"])
def test_only_a_scheduler_orders_an_evacuation(attack: Attack, user: str) -> None:
    client = attack.secured.client(user)
    assert denied(lambda: client.lpush("harvester.h1", "x"))
