"""A publisher against a Redis that goes away and comes back empty."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import redis

from common.model.snapshot import ArchiverSnapshot, Event, Tally
from common.names import SUPERVISOR_VARIABLE, Keys, Role
from common.store import Board
from common.worker.publisher import Publisher
from tests.integration.common.conftest import Server
from tests.support.waiting import eventually
from tests.support.wrong_clock import DAY_S, HOUR_S, set_ahead


class Source:
    """What is published: `number` as the only problem of an archiver."""

    def __init__(self) -> None:
        self.number = 0
        self.built = 0
        self.breaks = False

    def snapshot(self) -> ArchiverSnapshot:
        self.built += 1
        if self.breaks:
            raise RuntimeError("a bug in a snapshot")
        return ArchiverSnapshot(host="h1", at=datetime.now(UTC), problems=(str(self.number),))


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def publisher(board: Board, source: Source) -> Iterator[Publisher]:
    made = Publisher(board, Role.ARCHIVER, source.snapshot, "boot1 8:1")
    made.start()
    yield made
    made.stop()


def event(text: str) -> Event:
    return Event(kind="test", host="h1", at=datetime.now(UTC), text=text)


def shown(board: Board) -> str | None:
    snapshot = board.snapshots(Role.ARCHIVER).get("h1")
    return snapshot.problems[0] if snapshot else None


def test_whoever_hears_an_event_finds_a_snapshot_that_shows_it(
    board: Board, publisher: Publisher, source: Source
) -> None:
    heard = board.last_event_id()
    for number in range(1, 50):
        source.number = number
        publisher.tell(event(str(number)))
        happened = board.events(heard, wait_s=5)
        assert int(shown(board) or 0) >= int(happened[-1][1].text)
        heard = happened[-1][0]
    assert [told.text for _, told in board.newest_events(100)] == [str(n) for n in range(1, 50)]


def test_a_host_that_was_forgotten_while_nobody_heard_it_announces_itself_anew(
    board: Board, source: Source, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.worker.publisher.SNAPSHOT_RENEW", timedelta(seconds=0.2))
    reader = board.reader()
    publisher = Publisher(board, Role.ARCHIVER, source.snapshot, "boot1 8:1")
    publisher.start()
    try:
        eventually(lambda: reader.read().archivers.keys() == {"h1"}, "it is there")

        def forgotten() -> bool:
            with redis.Redis.from_url(server.url) as client:
                client.delete(Keys.alive(Role.ARCHIVER, "h1"))
            return board.forget_host("h1")

        eventually(forgotten, "it is forgotten")
        eventually(lambda: reader.read().archivers.keys() == {"h1"}, "it is there again", 5)
        assert board.hosts()[Role.ARCHIVER] == ["h1"]
    finally:
        publisher.stop()


def test_many_changes_at_once_share_few_snapshots(board: Board, publisher: Publisher, source: Source) -> None:
    for number in range(1, 20_001):
        source.number = number
        publisher.changed()
    eventually(lambda: shown(board) == "20000", "the last change is shown", 5)
    assert source.built < 100


def test_when_redis_comes_back_empty_snapshot_and_events_follow_within_seconds(
    board: Board, publisher: Publisher, source: Source, server: Server
) -> None:
    publisher.changed()
    eventually(lambda: shown(board) == "0", "it is published")
    server.kill()
    for number in range(1, 1500):
        source.number = number
        publisher.tell(event(str(number)))
    waits = threading.Thread(target=publisher.publish_now)  # nobody is kept waiting for long
    waits.start()
    waits.join(timeout=10)
    assert not waits.is_alive()
    server.start()
    server.wipe()
    eventually(lambda: shown(board) == "1499", "the newest snapshot is up", 5)
    eventually(lambda: len(board.newest_events(5000)) >= 1000, "the events follow", 5)
    texts = [told.text for _, told in board.newest_events(5000)]
    assert texts == [str(n) for n in range(500, 1500)], "the newest thousand, each once, in order"


def test_an_unchanged_snapshot_is_renewed_on_a_wiped_board(
    board: Board, source: Source, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.worker.publisher.SNAPSHOT_RENEW", timedelta(seconds=0.2))
    publisher = Publisher(board, Role.ARCHIVER, source.snapshot, "boot1 8:1")
    publisher.start()
    try:
        eventually(lambda: shown(board) == "0", "it is published", 5)
        server.wipe()
        eventually(lambda: shown(board) == "0", "it is published again", 5)
    finally:
        publisher.stop()


def test_what_is_told_last_is_published_before_it_stops(
    board: Board, publisher: Publisher, source: Source
) -> None:
    source.number = 5
    publisher.tell(event("last"))
    publisher.stop()
    assert board.last_words(Role.ARCHIVER)["h1"][0].problems == ("5",)
    assert [told.text for _, told in board.newest_events(5)] == ["last"]


def test_a_worker_that_is_stopped_is_not_alive_any_more_and_says_so(
    board: Board, publisher: Publisher, source: Source
) -> None:
    reader = board.reader()
    publisher.publish_now()
    assert not reader.read().archivers["h1"].stopped
    publisher.stop()
    assert board.snapshots(Role.ARCHIVER) == {}
    board_state = reader.read()
    assert board_state.archivers == {}
    assert board.last_words(Role.ARCHIVER)["h1"][0].stopped
    publisher.publish_now()  # a task that ends late
    assert board.snapshots(Role.ARCHIVER) == {}
    again = Publisher(board, Role.ARCHIVER, source.snapshot, "boot1 8:1")
    again.publish_now()
    assert not reader.read().archivers["h1"].stopped


@pytest.mark.parametrize("lives", [True, False])
def test_a_worker_whose_supervisor_was_killed_was_not_stopped_by_an_operator(
    board: Board, publisher: Publisher, monkeypatch: pytest.MonkeyPatch, lives: bool
) -> None:
    """The kernel stops it by the same signal. Another process is its parent by then."""
    monkeypatch.setenv(SUPERVISOR_VARIABLE, str(os.getppid() if lives else os.getpid()))
    publisher.publish_now()
    publisher.stop()
    assert board.last_words(Role.ARCHIVER)["h1"][0].stopped is lives


def test_a_snapshot_that_cannot_be_built_once_does_not_end_the_publishing(
    board: Board, publisher: Publisher, source: Source
) -> None:
    source.breaks = True
    publisher.changed()
    eventually(lambda: source.built, "it was tried")
    source.breaks = False
    source.number = 3
    publisher.changed()
    eventually(lambda: shown(board) == "3", "it goes on", 5)


def test_progress_is_shown_within_a_second_and_costs_one_snapshot_in_it(
    board: Board, publisher: Publisher, source: Source
) -> None:
    publisher.changed()
    eventually(lambda: shown(board) == "0", "it is published")
    built, began = source.built, time.monotonic()
    while time.monotonic() - began < 1.5:
        source.number += 1
        publisher.progressed()
        time.sleep(0.002)
    assert source.built - built <= 3
    eventually(lambda: int(shown(board) or 0) > 0, "it is shown", 2)
    last = str(source.number)
    eventually(lambda: shown(board) == last, "the last step is shown", 3)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snapshots are renewed fifty times as often, and all that is counted in renewals goes as fast."""
    monkeypatch.setattr("common.worker.publisher.SNAPSHOT_RENEW", timedelta(seconds=0.2))
    monkeypatch.setattr("common.worker.duplicate_host._SURE_S", 0.4)
    monkeypatch.setattr("common.worker.duplicate_host._GONE_S", 0.6)


def running(url: str, mark: str, number: int = 0) -> Publisher:
    source = Source()
    source.number = number
    made = Publisher(Board.connect(url), Role.ARCHIVER, source.snapshot, mark)
    made.start()
    return made


def namesakes(board: Board) -> tuple[str, ...]:
    snapshot = board.snapshots(Role.ARCHIVER).get("h1")
    return snapshot.problems[1:] if snapshot else ()


@pytest.mark.usefixtures("quick")
def test_two_machines_of_one_name_are_told_by_both_until_one_of_them_is_gone(
    board: Board, server: Server
) -> None:
    one, other = running(server.url, "boot1 8:1", 1), running(server.url, "boot2 8:1", 2)
    tellers: set[str | None] = set()

    def both_told() -> bool:
        if "Another machine also calls itself h1" in " ".join(namesakes(board)):
            tellers.add(shown(board))
        return tellers == {"1", "2"}

    try:
        eventually(both_told, "both tell", 30)
        assert all(namesakes(board) for _ in every(0.05, 1)), "whichever of them wrote last"
        other.stop()
        eventually(lambda: shown(board) and not namesakes(board), "the one that is left tells no more", 5)
        assert not any(namesakes(board) for _ in every(0.05, 1))
    finally:
        one.stop()
        other.stop()


@pytest.mark.usefixtures("quick")
def test_neither_a_restart_nor_a_reboot_is_told_at_any_moment(board: Board, server: Server) -> None:
    for mark in ("boot1 8:1", "boot1 8:1", "boot2 8:1", "1", "boot2 8:1"):  # "1": of an older release
        publisher = running(server.url, mark)
        try:
            assert not any(namesakes(board) for _ in every(0.02, 1))
        finally:
            publisher.stop()


@pytest.mark.usefixtures("quick")
def test_a_worker_that_is_started_while_the_one_before_it_ends_is_no_duplicate(
    board: Board, server: Server
) -> None:
    one, other = running(server.url, "boot1 8:1"), running(server.url, "boot1 8:1")
    try:
        assert not any(namesakes(board) for _ in every(0.05, 2))
    finally:
        one.stop()
        other.stop()


def every(pause_s: float, for_s: float) -> Iterator[None]:
    """Again and again, for a while in which something must stay as it is."""
    ends_at = time.monotonic() + for_s
    while time.monotonic() < ends_at:
        yield
        time.sleep(pause_s)


@pytest.mark.parametrize(
    ("ahead_s", "words"), [(-2 * HOUR_S, "2h 0m behind Redis'"), (DAY_S, "1d 0h ahead of Redis'")]
)
def test_times_of_a_wrong_clock_are_on_the_board_by_the_farms_clock(
    board: Board, ahead_s: float, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def now() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=ahead_s)

    def snapshot() -> ArchiverSnapshot:
        return ArchiverSnapshot(host="h1", at=now(), tally=Tally(since=now() - timedelta(hours=1)))

    set_ahead(monkeypatch, ahead_s)
    publisher = Publisher(board, Role.ARCHIVER, snapshot, "boot1 8:1")
    publisher.start()
    try:
        publisher.tell(Event(kind="test", host="h1", at=now(), text="it happened"))
        ((_, event),) = eventually(lambda: board.newest_events(5), "it is told") or ()
        shown = board.snapshots(Role.ARCHIVER)["h1"]
        right = datetime.now(UTC)
        assert abs(event.at - right) < timedelta(seconds=3)
        assert abs(shown.at - right) < timedelta(seconds=3)
        assert abs(shown.tally.since - right + timedelta(hours=1)) < timedelta(seconds=3)
        assert shown.clock_skew_s == pytest.approx(ahead_s, abs=1)
        (problem,) = shown.problems
        assert problem.startswith(f"This machine's clock is {words}.")
        assert "timedatectl set-ntp true" in problem
    finally:
        publisher.stop()
