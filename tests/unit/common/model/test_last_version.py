"""What the last version of plotman wrote is read today, and what the next one adds does no harm.

tests/recorded/VERSION holds notices and messages as that version put them into Redis on a farm that moved a
plot; ticket's password is made up. With a release, the files of the version before the last may go.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from common.errors import OrderRefused
from common.model.messages import VERSION, Admission, Delivery, Message, PlotOrder, Reservation, TargetOrder
from common.model.pending import PendingMove, PendingOrder
from common.model.snapshot import ArchiverSnapshot, Event, HarvesterSnapshot, PlotterSnapshot, Waits
from common.model.ticket import Ticket
from harvester_worker.intake.reserve import ReserveOrder
from tests.support.paths import RECORDED

NOTICES: dict[str, type[BaseModel]] = {
    "snapshot-plotter": PlotterSnapshot,
    "snapshot-archiver": ArchiverSnapshot,
    "snapshot-harvester": HarvesterSnapshot,
    "order-noted": PendingOrder,
    "move-at-reserve": PendingMove,
    "move-at-transfer": PendingMove,
    "move-at-admit": PendingMove,
    "move-at-release": PendingMove,
    "ticket": Ticket,
    "waits": Waits,
    "event-plot-done": Event,
}
# Task -> what it reads, and where in its arguments that stands; None: all of them.
MESSAGES: dict[str, tuple[type[Message], str | int | None]] = {
    "task-plot": (PlotOrder, None),
    "task-reserve": (ReserveOrder, None),
    "task-transfer": (Reservation, 0),
    "task-admit": (Delivery, "delivery"),
    "task-release": (Admission, 0),
    "task-archive_to_target": (TargetOrder, None),
}
TABLES = {"coming", "numbers", "tally", "counts"}  # their keys are not ours


def files(names: Any) -> list[Path]:
    return [path for path in sorted(RECORDED.glob("*/*.json")) if path.stem in names]


def arguments_of(path: Path) -> tuple[type[Message], dict[str, Any]]:
    kind, where = MESSAGES[path.stem]
    message = json.loads(path.read_text())
    found = message["kwargs"]
    if isinstance(where, int):
        found = message["args"][where]
    elif where is not None:
        found = found[where]
    return kind, found


def kept(written: Any, read: Any) -> bool:
    """Whether all that was written is still there, whatever was added."""
    if isinstance(written, dict):
        return isinstance(read, dict) and all(
            name in read and kept(written[name], read[name]) for name in written
        )
    if isinstance(written, list):
        return isinstance(read, list) and len(written) == len(read) and all(map(kept, written, read))
    return bool(written == read)


def with_more(value: Any) -> Any:
    """The same with an unknown key in each object, as a later version may write it."""
    if isinstance(value, dict):
        more = {name: each if name in TABLES else with_more(each) for name, each in value.items()}
        return more | {"from_tomorrow": {"a": [1]}}
    return [with_more(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("path", files(NOTICES), ids=lambda path: f"{path.parent.name} {path.stem}")
def test_a_notice_of_the_last_version_is_read_and_nothing_of_it_is_lost(path: Path) -> None:
    kind, written = NOTICES[path.stem], json.loads(path.read_text())
    read = kind.model_validate_json(path.read_text())
    shown = read.model_dump(mode="json")
    if isinstance(read, Ticket):
        shown["password"] = read.password.get_secret_value()
    assert kept(written, shown)
    if kind is not Ticket:  # a plotter acts on it, and takes no word that it does not know
        assert kind.model_validate_json(json.dumps(with_more(written)))


@pytest.mark.parametrize("path", files(MESSAGES), ids=lambda path: f"{path.parent.name} {path.stem}")
def test_a_message_of_the_last_version_is_understood_and_so_is_one_that_says_more(path: Path) -> None:
    kind, written = arguments_of(path)
    assert kept(written, kind.read(**written).model_dump(mode="json"))
    assert kind.read(**with_more(written | {"version": VERSION})) == kind.read(**written)


def test_a_person_is_told_of_an_argument_that_does_not_exist() -> None:
    with pytest.raises(OrderRefused, match="tmpp"):
        PlotOrder.read(host="p1", tmpp="/mnt/tmp")


def test_a_message_that_means_something_else_in_a_newer_version_is_refused() -> None:
    with pytest.raises(OrderRefused, match="newer"):
        PlotOrder.read(host="p1", version=VERSION + 1)


def test_each_notice_and_message_was_recorded() -> None:
    for version in RECORDED.iterdir():
        assert NOTICES.keys() | MESSAGES.keys() <= {path.stem for path in version.glob("*.json")}
