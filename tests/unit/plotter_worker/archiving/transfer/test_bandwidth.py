"""When the bandwidth is shared anew."""

from __future__ import annotations

import os
import time

import pytest

from plotter_worker.archiving.transfer.bandwidth import Bandwidth, available
from plotter_worker.archiving.transfer.rsync import SLOWEST_BYTES_S
from tests.support.waiting import eventually


@pytest.mark.skipif(not available(), reason="this kernel does not let us reach into our child's sockets")
def test_a_new_transfer_is_paced_at_once_while_another_runs() -> None:
    """Between two looks a fast network takes hundreds of megabytes."""
    looks: list[float] = []
    bandwidth = Bandwidth(lambda: looks.append(time.monotonic()))

    def next_look_s() -> float:
        begun_s = time.monotonic()
        eventually(lambda: looks and looks[-1] >= begun_s, "it looks twice a second")
        return looks[-1] - begun_s

    bandwidth.add(1)
    waited_s = []
    for _ in range(3):
        next_look_s()
        bandwidth.add(os.getpid())
        waited_s.append(next_look_s())
        bandwidth.remove(os.getpid())
    bandwidth.remove(1)

    assert sorted(waited_s)[1] < 0.2, waited_s


def test_the_lowest_rate_follows_a_low_limit() -> None:
    limit: list[int | None] = [None]
    bandwidth = Bandwidth(lambda: limit[0])
    assert bandwidth.slowest_bytes_s() == SLOWEST_BYTES_S
    limit[0] = 100_000
    bandwidth._paced = {1: None, 2: None}
    assert bandwidth.slowest_bytes_s() == 25_000
    limit[0] = 10**9
    assert bandwidth.slowest_bytes_s() == SLOWEST_BYTES_S
