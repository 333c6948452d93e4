"""Which client without a password makes room for another one."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from harvester_worker.receiver.greeter import IN_ALL, PER_ADDRESS, Client, crowded_out


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def clients(sockets: ExitStack, *addresses: str) -> list[Client]:
    """One for each, the oldest first."""
    return [
        Client(sockets.enter_context(socket.socket()), address, since_s)
        for since_s, address in enumerate(addresses)
    ]


def test_there_is_room(sockets: ExitStack) -> None:
    known = clients(
        sockets, *["a"] * (PER_ADDRESS - 1), *[f"b{number}" for number in range(IN_ALL - PER_ADDRESS)]
    )
    assert crowded_out(known, "a") is None
    assert crowded_out([], "a") is None


def test_an_address_with_its_share_crowds_out_only_itself(sockets: ExitStack) -> None:
    known = clients(sockets, "b", *["a"] * PER_ADDRESS)
    assert crowded_out(known, "a") is known[1]
    assert crowded_out(known, "c") is None


def test_the_address_with_the_most_makes_room(sockets: ExitStack) -> None:
    known = clients(sockets, *[f"b{number}" for number in range(IN_ALL - 2)], "a", "a")
    assert crowded_out(reversed(known), "c") is known[-2]
