"""A plot is reserved for or taken in, never both."""

from __future__ import annotations

import threading

import pytest

from common.errors import TransferFailed
from harvester_worker.intake.intake import IntakeLocks

PLOT, OTHER = "0f" * 32, "1f" * 32


def test_nothing_is_reserved_for_a_plot_that_is_being_taken_in() -> None:
    plots = IntakeLocks()

    with plots.taking_in(PLOT), plots.taking_in(PLOT):  # its message came twice
        pass
    with plots.taking_in(PLOT):
        assert (plots.takes_in(PLOT), plots.takes_in(OTHER)) == (True, False)
        with plots.reserving(OTHER):
            pass
        with pytest.raises(TransferFailed, match="is being taken in"), plots.reserving(PLOT):
            pass

    assert not plots.takes_in(PLOT)
    with plots.reserving(PLOT):
        pass


def test_a_plot_that_is_just_reserved_for_is_taken_in_afterwards() -> None:
    plots, begun, reserved = IntakeLocks(), threading.Event(), threading.Event()
    seen: list[bool] = []

    def take_in() -> None:
        begun.set()
        with plots.taking_in(PLOT):
            seen.append(reserved.is_set())

    taking = threading.Thread(target=take_in)
    with plots.reserving(PLOT):
        taking.start()
        assert begun.wait(5)
        taking.join(0.05)
        reserved.set()
    taking.join(5)

    assert seen == [True]
