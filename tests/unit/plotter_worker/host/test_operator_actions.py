"""Answers to operators: what a host does from now on."""

from __future__ import annotations

import threading
from pathlib import Path
from unittest.mock import Mock

import pytest

from common.model import holds
from common.model.holds import HoldOrder
from plotter_worker.host.operator_actions import OperatorActions
from plotter_worker.reporting.events import PlotterEvents


@pytest.fixture
def operator(tmp_path: Path) -> OperatorActions:
    return OperatorActions(tmp_path, threading.RLock(), PlotterEvents("p1", Mock()))


def test_what_still_keeps_plots_from_starting_is_named_and_no_promise_is_made(
    operator: OperatorActions,
) -> None:
    order = HoldOrder(host="p1", reason="new fan", by="anna@desk")
    operator.hold(order, holds.ALL, "takes no more plots")
    operator.hold(order, holds.PLOTTING, "starts no more plots")
    undrained = operator.lift([holds.ALL], "starts plots as the rules allow", "; lifted: p1")
    assert undrained == "still starts no plots: plotting is paused: new fan (anna@desk); lifted: p1"
    assert operator.unpause().startswith("starts plots as the rules allow")


def test_plots_are_sent_again_whether_or_not_plots_start(operator: OperatorActions) -> None:
    order = HoldOrder(host="p1")
    operator.hold(order, holds.ARCHIVING, "begins no more transfers")
    operator.hold(order, holds.PLOTTING, "starts no more plots")
    assert (
        operator.lift([holds.ARCHIVING], "sends plots as the rules allow") == "sends plots as the rules allow"
    )
