from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from common.model.snapshot import Event
from plotman.supervisor.companions import InOrder, where_to_look
from plotman.supervisor.processes import BROKER, FLOWER, METRICS
from tests.support.showcase import T
from tests.unit.plotman.supervisor.test_processes import config


def event(at_s: float) -> Event:
    return Event(kind="sent", host="p1", at=T + timedelta(seconds=at_s), text=f"{at_s}")


def test_events_come_out_in_the_order_in_which_they_happened() -> None:
    events = InOrder()
    numbers = list(range(100))
    Random(1).shuffle(numbers)
    for number in numbers:
        events.add(event(number), now_s=0)
    assert [one.text for one in events.due(now_s=1.9)] == []
    assert [one.text for one in events.due(now_s=2)] == [str(number) for number in range(100)]
    assert not events


def test_an_event_that_came_long_ago_brings_out_the_earlier_ones_and_not_the_later_ones() -> None:
    events = InOrder()
    events.add(event(5), now_s=10)
    events.add(event(3), now_s=11.5)
    events.add(event(9), now_s=11.5)
    assert [one.text for one in events.due(now_s=12)] == ["3", "5"]
    assert len(events) == 1


def test_a_time_in_the_far_future_holds_nothing_back() -> None:
    events = InOrder()
    events.add(event(1e9), now_s=0)
    events.add(event(1), now_s=0)
    assert [one.text for one in events.due(now_s=2)] == ["1", f"{1e9}"]


def test_it_names_what_listens_and_what_to_try(tmp_path: Path) -> None:
    farm = config(flower_port=5556, metrics_port=9800, metrics_address="0.0.0.0")
    file = tmp_path / "my farm.yaml"
    addresses, tries = where_to_look(farm, file, (BROKER, FLOWER, METRICS))
    assert addresses == (
        f"Addresses: web page http://127.0.0.1:5556/farm, metrics http://{farm.host}:9800/metrics."
    )
    assert tries == f"In another terminal, try: export PLOTMAN_CONFIG='{file}'; plotman status"


def test_where_its_user_in_redis_may_not_look_it_names_the_machine_that_may(tmp_path: Path) -> None:
    own = {"broker": "redis://plotter1:secret@broker1:6379/0"}
    (tries,) = where_to_look(config(**own), tmp_path / "plotman.yaml", ())
    assert tries == "On the scheduler's machine, try: plotman status"
    for may in (own | {"scheduler": True}, {"broker": "redis://broker1:6379/0"}):
        (tries,) = where_to_look(config(**may), tmp_path / "plotman.yaml", ())
        assert tries.startswith("In another terminal, try: ")


def test_what_does_not_run_has_no_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PLOTMAN_CONFIG", str(tmp_path / "plotman.yaml"))
    (tries,) = where_to_look(config(), tmp_path / "plotman.yaml", (BROKER,))
    assert tries == "In another terminal, try: plotman status"
