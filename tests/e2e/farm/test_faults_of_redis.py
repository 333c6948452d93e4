"""Redis dies, forgets and cannot be reached; what stands in its queues is not what should."""

from __future__ import annotations

import base64
import json
import signal
import sys
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from beat.dispatch import send_move
from beat.policy.decision import Move
from common.model.snapshot import FinishedPlot, PlotState
from common.names import FREE_SPACE, PLOT, Role, queue
from tests.e2e.farm.help import delivered, everybody_answers, running, starts
from tests.support.machines import HUB, MB, Machines
from tests.support.sections import SMALL
from tests.support.waiting import eventually
from tests.support.watch import Watch


def build(farm: Machines) -> None:
    farm.add_scheduler(flower=True)
    plotting = {"chiapos": {"executable": str(farm.chia), **SMALL, "k": 20, "job_buffer": 400}}
    for name in ("p1", "p2"):
        farm.add_plotter(name, dst_bytes=192 * MB, plotting=plotting)
    for name in ("h1", "h2"):
        farm.add_harvester(name, drives=2, drive_bytes=192 * MB)


def flower_saw(machines: Machines, task_id: str) -> bool:
    """Whether Flower hears of a task: its page of a task that it never heard of is a 404."""
    ask = (
        "import sys, time, urllib.request as r\n"
        "time.sleep(1)\n"
        "try: r.urlopen(f'http://127.0.0.1:5555/task/{sys.argv[1]}', timeout=5)\n"
        "except OSError as error: sys.exit(str(error))\n"
        "print('known')"
    )
    hub = machines.schedulers[HUB].host
    return "known" in hub.call(sys.executable, "-c", ask, task_id, check=False)


def everybody_is_back(machines: Machines, within_s: float) -> None:
    """Each worker carries a task out, beat decides, Flower hears of it."""
    cut_at = datetime.now(UTC)

    def seen_since() -> bool:
        snapshots = [machines.plotter(name) for name in machines.plotters]
        snapshots += [machines.archiver(name) for name in machines.plotters]  # type: ignore[arg-type]
        snapshots += [machines.harvester(name) for name in machines.harvesters]  # type: ignore[arg-type]
        waits = machines.board().waits()
        return all(found and found.at > cut_at for found in (*snapshots, waits))

    def left_s() -> float:
        return within_s - (datetime.now(UTC) - cut_at).total_seconds()

    eventually(seen_since, "everybody is on the board again", left_s())
    everybody_answers(machines, left_s())

    def heard() -> bool:
        return flower_saw(machines, machines.app().send_task(FREE_SPACE, kwargs={"host": "h1"}).id)

    eventually(heard, "Flower hears of a new task", 60, every_s=0.5)


def test_redis_is_killed_and_comes_back_empty(machines: Machines, watch: Watch) -> None:
    before, begun = len(watch.known()), {name: starts(machines, name) for name in machines.plotters}
    for name in machines.plotters:
        machines.more(name, 2)
    jobs = {name: running(machines, name, 2) for name in machines.plotters}
    machines.kill_broker()
    machines.start_broker(empty=True)
    machines.all_there(30)
    delivered(machines, watch, before + 4)
    for name in machines.plotters:
        assert starts(machines, name) == begun[name] + 2, "nothing is started twice"
    for task_id in [task_id for found in jobs.values() for task_id in found]:
        eventually(lambda task_id=task_id: machines.succeeded(task_id), "it ends under the same task")


def test_redis_is_down_while_a_plot_ends(machines: Machines, watch: Watch) -> None:
    before = len(watch.known())
    machines.more("p1", 1)
    (task_id,) = running(machines, "p1")
    machines.kill_broker()
    eventually(lambda: len(watch.known()) == before + 1, "the plot ends", 60)
    machines.start_broker()
    eventually(lambda: machines.succeeded(task_id), "its result is stored", 30)
    delivered(machines, watch, before + 1)


@pytest.mark.timeout(300)
def test_connections_that_went_dead_without_a_word_are_replaced_within_a_minute(
    machines: Machines, watch: Watch
) -> None:
    before = len(watch.known())
    machines.more("p2", 1)
    running(machines, "p2")
    hub = machines.schedulers[HUB].host
    hub.half_open()
    try:
        everybody_is_back(machines, 60)
        delivered(machines, watch, before + 1, 60)
    finally:
        hub.heal()


def test_connections_that_are_reset_are_made_anew(machines: Machines, watch: Watch) -> None:
    before = len(watch.known())
    machines.more("p1", 1)
    running(machines, "p1")
    machines.schedulers[HUB].host.reset()
    everybody_is_back(machines, 60)
    delivered(machines, watch, before + 1)


def _message(task: str, **kwargs: Any) -> str:
    """A task message as Celery writes it to a queue (protocol 2)."""
    task_id = str(uuid4())
    body = base64.b64encode(json.dumps([[], kwargs, {}]).encode()).decode()
    return json.dumps(
        {
            "body": body,
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {"lang": "py", "task": task, "id": task_id, "root_id": task_id, "argsrepr": "()"},
            "properties": {
                "correlation_id": task_id,
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": "x"},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": task_id,
            },
        }
    )


GARBAGE = {
    "not JSON": "\x00\xffrubbish",
    "JSON, but no message": "[1, 2, 3]",
    "a message without headers": json.dumps({"body": "", "properties": {}}),
    "a body that is not base64": _message(FREE_SPACE).replace('"body": "', '"body": "%%%', 1),
    "pickle": _message(FREE_SPACE).replace("application/json", "application/x-python-serialize"),
    "an unknown task": _message("harvester_worker.format_drive", host="h1"),
    "a task with arguments that it does not know": _message(PLOT, host="p1", command="rm -rf /"),
    "a task for another host": _message(PLOT, host="p2"),
    "a directory that is not ours": _message(PLOT, host="p1", tmp="/etc", dst="/root"),
}


def test_garbage_in_a_queue_stops_nobody(machines: Machines, watch: Watch) -> None:
    before, begun = len(watch.known()), {name: starts(machines, name) for name in machines.plotters}
    with machines.redis() as redis:
        for role, host in (
            (Role.PLOTTER, "p1"),
            (Role.ARCHIVER, "p1"),
            (Role.HARVESTER, "h1"),
            (Role.HARVESTER, "h2"),
        ):
            for text in GARBAGE.values():
                redis.lpush(queue(role, host), text)
    machines.more("p1", 1)
    delivered(machines, watch, before + 1)
    assert starts(machines, "p1") == begun["p1"] + 1, "no garbage has started anything"
    assert starts(machines, "p2") == begun["p2"]


def test_an_order_that_is_delivered_twice_starts_one_plot(machines: Machines, watch: Watch) -> None:
    before, begun = len(watch.known()), starts(machines, "p1")
    order = {"host": "p1", "tmp": str(machines.plotters["p1"].tmp[0])}
    machines.more("p1", 2)
    eventually(lambda: starts(machines, "p1") == begun + 2, "beat has ordered both")
    with machines.redis() as redis:
        for _ in range(2):
            redis.lpush(queue(Role.PLOTTER, "p1"), _message(PLOT, **order))
    delivered(machines, watch, before + 2)
    assert starts(machines, "p1") == begun + 2


def test_a_move_that_is_ordered_twice_moves_the_plot_once(machines: Machines, watch: Watch) -> None:
    before = len(watch.known())
    plotter = machines.plotters["p2"]
    machines.schedulers[HUB].signal("beat", signal.SIGSTOP)  # so that both orders are ours
    try:
        machines.more("p2", 1)
        machines.app().send_task(PLOT, kwargs={"host": "p2"})
        eventually(lambda: len(watch.known()) == before + 1, "a plot is made", 60)
        (path,) = plotter.host.seen(plotter.dst).glob("*.plot")
        plot = FinishedPlot(
            path=str(plotter.dst / path.name),
            size_bytes=path.stat().st_size,
            state=PlotState.READY,
            since=datetime.now(UTC),
        )
        for harvester in ("h1", "h1", "h2"):
            move = Move(host="p2", plot=plot, harvester=harvester, attempts=0)
            send_move(machines.app(), machines.board(), move, datetime.now(UTC))
    finally:
        machines.schedulers[HUB].signal("beat", signal.SIGCONT)
    delivered(machines, watch, before + 1)


def test_a_message_of_a_newer_version_is_refused_and_one_of_the_last_is_understood(
    machines: Machines, watch: Watch
) -> None:
    newer = machines.app().send_task(FREE_SPACE, kwargs={"host": "h1", "version": 1000})
    eventually(lambda: machines.result(newer.id).get("status") == "FAILURE", "it is refused")
    assert "newer" in str(machines.result(newer.id)["result"])
    assert machines.call(FREE_SPACE, host="h1", version=1)
