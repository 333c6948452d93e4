"""The lease on a real Redis: one holder at a time, and none that slept through its end."""

from __future__ import annotations

import os
import signal
import subprocess
from datetime import timedelta

import pytest
import redis

from common.errors import BrokerError
from common.store.lease import Lease
from tests.integration.common.conftest import Server
from tests.support.installed import python
from tests.support.waiting import eventually

LIFETIME = timedelta(seconds=2)  # of which one is the margin


def lease(server: Server, token: str, lifetime: timedelta = LIFETIME) -> Lease:
    return Lease(redis.Redis.from_url(server.url, decode_responses=True), server.url, token, lifetime)


def test_one_of_two_holds_it_until_it_lets_go(server: Server) -> None:
    one, two = lease(server, "one"), lease(server, "two")
    assert not one.held
    assert one.take()
    assert one.held
    assert not two.take()
    assert not two.held
    assert one.take(), "it is renewed by its holder"
    two.drop()
    assert not two.take(), "only the holder can drop it"
    one.drop()
    assert not one.held
    assert two.take()


def test_a_holder_that_does_not_renew_it_knows_before_another_takes_over(server: Server) -> None:
    one, two = lease(server, "one"), lease(server, "two")
    assert one.take()

    def lost() -> bool:
        # Asked in this order: were both true, two beats would decide.
        taken = two.take()
        assert not (taken and one.held)
        return taken

    eventually(lost, "the other takes over", 5)
    assert not one.take()


def test_a_holder_that_was_frozen_knows_so_when_it_wakes(server: Server) -> None:
    program = (
        "import sys, redis\n"
        "from datetime import timedelta\n"
        "from common.store.lease import Lease\n"
        "url = sys.argv[1]\n"
        "lease = Lease(redis.Redis.from_url(url, decode_responses=True), url, 'one', timedelta(seconds=2))\n"
        "print(lease.take(), lease.held, flush=True)\n"
        "sys.stdin.readline()\n"
        "print(lease.held, lease.take(), flush=True)\n"
    )
    holder = subprocess.Popen(
        [python(), "-c", program, server.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stdout.readline().split() == ["True", "True"]
    os.kill(holder.pid, signal.SIGSTOP)
    two = lease(server, "two", timedelta(seconds=60))
    eventually(two.take, "the other takes over", 10)
    os.kill(holder.pid, signal.SIGCONT)
    out, _ = holder.communicate("go on\n", timeout=20)
    assert out.split() == ["False", "False"]


def test_without_redis_nobody_holds_it_for_longer_than_it_lasts(server: Server) -> None:
    one = lease(server, "one")
    assert one.take()
    server.kill()
    with pytest.raises(BrokerError):
        one.take()
    eventually(lambda: not one.held, "it runs out", 3)
    server.start()
    assert one.take()
