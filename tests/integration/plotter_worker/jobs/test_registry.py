"""An order that the broker delivers again."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from common.model.messages import PlotOrder
from plotter_worker.jobs.order_checks import AlreadyTaken
from tests.support.bench import Bench, running
from tests.support.farm import HOST

BY_HAND, ANOTHER = str(uuid4()), str(uuid4())


def test_an_order_by_hand_that_is_delivered_again_after_its_job_ended_makes_no_second_plot(
    tmp_path: Path,
) -> None:
    # Orders by hand carry no start token: nothing else tells the second delivery from a second wish.
    bench = Bench.lay_out(tmp_path)
    bench.farm.allow(plots=0)  # but by hand
    bench.plan(log="chiapos-k18")
    order = PlotOrder(host=HOST, tmp=str(bench.tmp), dst=str(bench.dst))
    with running(bench):
        bench.host.take_order(BY_HAND, order)
        bench.until(lambda: bench.told("plot-done"), "its plot is made")
        bench.until(lambda: bench.host.jobs.get(BY_HAND) is None, "and its end reported")
        with pytest.raises(AlreadyTaken):
            bench.host.take_order(BY_HAND, order)
        assert len(bench.stamps()) == 1
        bench.host.take_order(ANOTHER, order)
        bench.until(lambda: len(bench.stamps()) == 2, "another order is carried out")
