"""A publisher against a Redis that goes away and comes back empty."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from common.names import Role
from common.publisher import Publisher
from common.snapshot import ArchiverSnapshot, Event
from common.store import Board
from tests.integration.common.conftest import Server
from tests.support.waiting import eventually


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
    made = Publisher(board, Role.ARCHIVER, source.snapshot)
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
    from datetime import timedelta

    monkeypatch.setattr("common.publisher.SNAPSHOT_RENEW", timedelta(seconds=0.2))
    publisher = Publisher(board, Role.ARCHIVER, source.snapshot)
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
    assert shown(board) == "5"
    assert [told.text for _, told in board.newest_events(5)] == ["last"]


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
