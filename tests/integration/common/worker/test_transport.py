"""A message that was taken from its queue reaches its worker, whatever became of connections meanwhile."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import kombu.transport
import pytest
import redis
from kombu import Connection, Consumer, Queue
from kombu.asynchronous import Hub
from kombu.asynchronous.timer import Timer

from common.store import Board
from common.worker import transport
from plotman.settings import celery_settings


class Wire:
    """A way to Redis on which connections can go dead without an error; new ones work."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._there = (parts.hostname or "", parts.port or 6379)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = parts._replace(
            netloc=f":{parts.password}@127.0.0.1:{self._listener.getsockname()[1]}"
        ).geturl()
        self._listens: set[int] = set()  # connections that wait for messages
        self._dead: set[int] = set()
        self._made = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def half_open(self) -> None:
        """All connections go dead but those that wait for messages."""
        self._dead = set(range(1, self._made + 1)) - self._listens

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                there = socket.create_connection(self._there)
                self._made += 1
                for ends in ((here, there), (there, here)):
                    threading.Thread(target=self._carry, args=(self._made, *ends), daemon=True).start()

    def _carry(self, number: int, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while chunk := source.recv(65536):
                if b"BRPOP" in chunk:
                    self._listens.add(number)
                if number not in self._dead:
                    target.sendall(chunk)
        if number not in self._dead:
            with suppress(OSError):
                target.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def wire(broker_url: str) -> Iterator[Wire]:
    made = Wire(broker_url)
    yield made
    made.close()


def test_it_is_taken_although_the_process_connected_with_another_before(
    broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kombu.transport, "_transport_cache", {"redis": kombu.transport.redis.Transport})
    transport.install()
    with Connection(broker_url) as connection:
        assert isinstance(connection.transport, transport.Transport)


def test_a_message_is_not_lost_when_the_idle_connection_that_notes_it_is_dead(
    broker_url: str, wire: Wire
) -> None:
    transport.install()
    options = celery_settings(wire.url, "h")["broker_transport_options"] | {"socket_timeout": 1}
    queue, got = Queue("q", routing_key="q"), []

    def send(number: int) -> None:
        with Connection(broker_url) as sender:
            sender.Producer().publish(number, routing_key="q", declare=[queue])

    def take(body: Any, message: Any) -> None:
        got.append(body)

    with (
        Connection(wire.url, transport_options=options) as worker,
        Consumer(worker, [queue], callbacks=[take]),
    ):
        send(1)
        worker.drain_events(timeout=30)
        wire.half_open()
        send(2)
        worker.drain_events(timeout=30)
    assert got == [1, 2]


def test_a_worker_that_has_nothing_to_do_wakes_only_for_its_own_question_for_messages(
    broker_url: str,
) -> None:
    transport.install()
    hub, ticks, got = Hub(Timer(max_interval=10.0)), [], []
    options = celery_settings(broker_url, "h")["broker_transport_options"]
    with Connection(broker_url, transport_options=options) as worker:
        worker.transport.register_with_event_loop(worker.connection, hub)
        with Consumer(worker, [Queue("idle", routing_key="idle")], on_message=got.append, no_ack=True):
            hub.on_tick.add(lambda: ticks.append(time.monotonic()))
            hub.call_later(4.5, hub.stop)
            hub.run_forever()
    # It asks at 0, 2 and 4 s. Kombu by itself asks each second, and looks after something else as often.
    assert len(ticks) <= 5, ticks
    assert not got


def test_a_connection_of_the_notice_board_that_was_dropped_is_made_anew(broker_url: str) -> None:
    board = Board.connect(broker_url)
    board.ping()
    with redis.Redis.from_url(broker_url) as client:
        client.client_kill_filter(_type="normal", skipme=True)
    board.ping()
