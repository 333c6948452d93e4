"""The rule by which old plots go, over random interleavings of all that can happen to a harvester."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.model.replot_order import ReplotOrder
from common.model.replot_victims import DriveId
from common.model.replot_victims import Victim as Choice
from harvester_worker.replot import ledger
from harvester_worker.replot.journal import Credit, Journal, Victim
from harvester_worker.replot.rule import Account, DriveRoom, Limits, choose, why_not

SINCE = datetime(2026, 12, 1, tzinfo=UTC)
CLASSES = [{"name": "one", "k": 32}, {"name": "two", "k": 33}]
DRIVES = ("/d1", "/d2", "/d3")
ROOM = DriveRoom(None, 5)
COUNTED = Account(
    new_bytes=100, largest_bytes=10, unused_bytes=100, deleted_bytes=0, deleted_today=0, unsettled=False
)
LIMITS = Limits(low_water_bytes=0, max_per_day=None)


def victim(size_bytes: int = 50, drive: str = "/d1", number: int = 0, name: str = "a") -> Choice:
    return Choice(DriveId("h1", drive), name, size_bytes, number)


def account(**changes: Any) -> Account:
    return Account(**{**{name: getattr(COUNTED, name) for name in Account.__slots__}, **changes})


@pytest.mark.parametrize(
    ("size", "room", "counted", "limits", "why"),
    [
        (50, ROOM, {}, LIMITS, None),
        (100, ROOM, {}, LIMITS, None),
        (101, ROOM, {}, LIMITS, "waits for 1 B of new proved plots"),
        (50, ROOM, {"unused_bytes": 49}, LIMITS, "waits for 1 B of new proved plots"),
        (50, ROOM, {"deleted_bytes": 50}, LIMITS, None),
        (50, ROOM, {"deleted_bytes": 51}, LIMITS, "waits for 1 B of new proved plots"),
        (0, ROOM, {}, LIMITS, "waits for"),
        (50, ROOM, {"unsettled": True}, LIMITS, "another old plot is being deleted"),
        (50, ROOM, {"new_bytes": 0}, LIMITS, "no new plot has arrived"),
        (50, DriveRoom("is draining", 5), {}, LIMITS, "/d1 is draining"),
        (50, DriveRoom(None, 10), {}, LIMITS, "has room for the next new plot"),
        (50, DriveRoom(None, 9), {}, LIMITS, None),
        (50, DriveRoom(None, 12), {}, Limits(2, None), "has room for the next new plot"),
        (50, DriveRoom(None, 12), {}, Limits(3, None), None),
        (50, ROOM, {"deleted_today": 2}, Limits(0, 2), "2 of 2 old plots have gone today"),
        (50, ROOM, {"deleted_today": 2}, Limits(0, 3), None),
    ],
)
def test_each_limit_alone_keeps_an_old_plot(
    size: int, room: DriveRoom, counted: dict[str, Any], limits: Limits, why: str | None
) -> None:
    found = why_not(victim(size), room, account(**counted), limits)
    assert found == why or (why and found and why in found)


def test_a_class_comes_after_all_plots_of_the_classes_before_it_that_may_go() -> None:
    one, two = victim(drive="/d1", number=0), victim(drive="/d2", number=1)
    short, roomy, closed = ROOM, DriveRoom(None, 1000), DriveRoom("is draining", 0)

    def chosen(first: DriveRoom, second: DriveRoom) -> Choice | str:
        rooms = {DriveId("h1", "/d1"): first, DriveId("h1", "/d2"): second}
        return choose([one, two], rooms, COUNTED, LIMITS)

    assert chosen(short, short) == one
    assert chosen(closed, short) == two
    assert "room for the next new plot" in str(chosen(roomy, short))
    assert "/d1 is draining, /d2 is draining" in str(chosen(closed, closed))


def test_the_first_drive_without_room_comes_first_as_in_the_plan() -> None:
    victims = [victim(drive=drive) for drive in DRIVES]
    rooms = {DriveId("h1", drive): ROOM for drive in DRIVES}
    assert choose(victims, rooms, COUNTED, LIMITS) == victims[0]
    assert choose(victims, {**rooms, victims[0].drive: DriveRoom(None, 99)}, COUNTED, LIMITS) == victims[1]


@dataclass
class Farm:
    """A harvester in numbers, with its own count of what happened."""

    low_water: int
    max_per_day: int | None
    journal: Journal = field(default_factory=Journal)
    today: date = date(2026, 12, 1)
    capacity: dict[str, int] = field(default_factory=lambda: dict.fromkeys(DRIVES, 400))
    old: dict[tuple[str, str, int], int] = field(default_factory=dict)  # drive, name, class -> bytes
    new: dict[str, tuple[str, int]] = field(default_factory=dict)  # id -> drive, bytes
    closed: set[str] = field(default_factory=set)
    arrived: int = 0
    proved: int = 0
    largest: int = 0
    deleted: int = 0
    days: dict[date, int] = field(default_factory=dict)

    def free(self, drive: str) -> int:
        old = sum(size for (at, _, _), size in self.old.items() if at == drive)
        return self.capacity[drive] - old - sum(size for at, size in self.new.values() if at == drive)

    def olds(self) -> list[tuple[tuple[str, str, int], int]]:
        return sorted(self.old.items())

    def order(self) -> None:
        order = ReplotOrder.read(host="h1", classes=CLASSES, max_per_day=self.max_per_day)
        self.journal = ledger.ordered(self.journal, order, SINCE)

    def arrive(self, size: int, drive: str, counts: bool) -> None:
        if self.free(drive) < size:
            return
        self.arrived += 1
        plot_id = f"{self.arrived:064x}"[::-1]
        self.new[plot_id] = (drive, size)
        credit = Credit(plot_id=plot_id, drive=drive, name="n", inode=1, size_bytes=size, left_bytes=size)
        self.journal = ledger.landed(self.journal, credit, counts)
        if counts:
            self.proved += size
            self.largest = max(self.largest, size)

    def lose(self, number: int) -> None:
        if self.new:
            del self.new[sorted(self.new)[number % len(self.new)]]

    def look(self, end: str) -> None:
        """One look of the harvester. end: how the deletion ends."""
        unsettled = self.journal.victim
        limits = Limits(self.low_water, self.max_per_day)
        victims = [
            victim(size, drive, number, name) for (drive, name, number), size in sorted(self.old.items())
        ]
        if not victims:
            return
        rooms = {
            DriveId("h1", drive): DriveRoom("is draining" if drive in self.closed else None, self.free(drive))
            for drive in DRIVES
        }
        there = set(self.new)
        counted = ledger.account(self.journal, self.today, there)
        choice = choose(victims, rooms, counted, limits)
        if isinstance(choice, str):
            return
        assert unsettled is None, "I3: one at a time"
        uses = ledger.uses((one for one in self.journal.credits if one.plot_id in there), choice.size_bytes)
        assert uses is not None
        chosen = Victim(
            drive=choice.drive.path,
            name=choice.name,
            class_name=CLASSES[choice.number]["name"],
            plot_id="ab",
            size_bytes=choice.size_bytes,
            inode=1,
            mtime_ns=1,
            uses=uses,
        )
        self.journal = ledger.chosen(self.journal, chosen)
        self.journal = Journal.model_validate_json(self.journal.model_dump_json())
        if end == "hangs":
            return
        if end == "stays":
            self.journal = ledger.kept(self.journal)
            return
        order = self.journal.order
        assert order is not None
        self.journal = ledger.deleting(self.journal, order, chosen)
        self.delete(choice)
        self.journal = ledger.settled(self.journal, self.today)

    def delete(self, choice: Choice) -> None:
        drive, number = choice.drive.path, choice.number
        room = self.free(drive) - self.low_water
        assert drive not in self.closed, "I5"
        assert room < self.largest, "I6: only where the next new plot has no room"
        earlier = [at for (at, _, of), _ in self.old.items() if of < number and at not in self.closed]
        assert not earlier, "a class after the other"
        self.deleted += self.old.pop((drive, choice.name, number))  # I7: KeyError for any new plot
        assert self.deleted <= self.proved, "I4"
        assert self.free(drive) - self.low_water < self.largest + choice.size_bytes, "I6: one unit at most"
        self.days[self.today] = self.days.get(self.today, 0) + 1
        assert self.max_per_day is None or self.days[self.today] <= self.max_per_day


def _resolved(farm: Farm, gone: bool) -> None:
    """A plot in work after a restart: it is there, or was deleted just before."""
    chosen, order = farm.journal.victim, farm.journal.order
    if chosen is None or order is None:
        return
    farm.journal = ledger.settled(farm.journal, farm.today) if gone else ledger.kept(farm.journal)
    if gone:
        number = [one["name"] for one in CLASSES].index(chosen.class_name)
        farm.deleted += farm.old.pop((chosen.drive, chosen.name, number))
        farm.days[farm.today] = farm.days.get(farm.today, 0) + 1


STEPS = st.one_of(
    st.tuples(st.just("arrive"), st.integers(1, 60), st.sampled_from(DRIVES), st.booleans()),
    st.tuples(st.just("look"), st.sampled_from(["deleted", "deleted", "stays", "hangs"])),
    st.tuples(st.just("recover"), st.booleans()),
    st.tuples(st.just("close"), st.sampled_from(DRIVES)),
    st.tuples(st.just("open"), st.sampled_from(DRIVES)),
    st.tuples(st.just("lose"), st.integers(0, 99)),
    st.tuples(st.just("order")),
    st.tuples(st.just("day"), st.integers(-1, 1)),
)


@settings(max_examples=400, deadline=None)
@given(
    olds=st.lists(st.tuples(st.sampled_from(DRIVES), st.integers(20, 130), st.integers(0, 1)), max_size=9),
    steps=st.lists(STEPS, max_size=60),
    low_water=st.integers(0, 100),
    max_per_day=st.none() | st.integers(1, 3),
)
def test_whatever_happens_no_more_is_deleted_than_new_plots_have_brought(
    olds: list[tuple[str, int, int]], steps: list[Any], low_water: int, max_per_day: int | None
) -> None:
    farm = Farm(low_water, max_per_day)
    for number, (drive, size, of_class) in enumerate(olds):
        if farm.free(drive) >= size:
            farm.old[drive, f"old{number}", of_class] = size
    farm.order()
    for step in steps:
        match step:
            case ("arrive", size, drive, counts):
                farm.arrive(size, drive, counts)
            case ("look", end):
                farm.look(end)
            case ("recover", gone):
                _resolved(farm, gone)
            case ("close", drive):
                farm.closed.add(drive)
            case ("open", drive):
                farm.closed.discard(drive)
            case ("lose", number):
                farm.lose(number)
            case ("order",):
                farm.order()
            case ("day", days):
                farm.today += timedelta(days=days)
        journal = farm.journal
        unused = sum(one.left_bytes for one in journal.credits)
        assert farm.deleted == journal.deleted_bytes <= farm.proved == journal.new_bytes
        assert unused == journal.new_bytes - journal.deleted_bytes


def test_a_run_to_the_end_deletes_all_old_plots_and_no_new_one() -> None:
    farm = Farm(0, None)
    farm.old = {(drive, f"{drive}{n}", n % 2): 100 for drive in DRIVES for n in range(4)}
    farm.capacity["/d3"] = 520
    farm.order()
    for _ in range(400):
        drive = max(DRIVES, key=farm.free)
        farm.arrive(10, drive, True)
        farm.look("deleted")
    assert farm.old == {}
    assert farm.deleted == 1200
    assert sum(size for _, size in farm.new.values()) == farm.proved
