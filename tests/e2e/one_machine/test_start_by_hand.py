"""A plot that an operator starts by hand, and calls by hand that no worker would take."""

from __future__ import annotations

import json

from common.names import PLOT
from tests.support.farm import HOST, Farm
from tests.support.sections import SMALL
from tests.support.waiting import eventually


def test_an_operator_starts_a_plot_and_reads_at_once_what_became_of_it(farm: Farm) -> None:
    slow = {"type": "chiapos", "chiapos": {"executable": str(farm.chia), "k": 22, **SMALL}}
    farm.configure(tmp=2, dst=2, plotting=slow, scheduling={"global_max_jobs": 2})
    farm.allow(0)
    farm.up()
    tmp, dst = farm.folder / "tmp", farm.folder / "dst"

    begun = farm.run("start", "--tmp", f"{tmp}/2", "--dst", f"{dst}/1")
    assert begun.returncode == 0, begun.stderr
    (job,) = eventually(farm.jobs, "its job is on the board")
    assert begun.stdout == f"{HOST} makes a plot in {tmp}/2, for {dst}/1 (pid {job.pid}).\n"
    assert f"plotman logs -f {HOST}:{job.pid}" in begun.stderr

    refused = farm.run("start", "--host", HOST, "--tmp", f"{tmp}/2")
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"plotman: {tmp}/2 has 1 job, and its limit is 1.")
    assert len(refused.stderr.splitlines()) == 1

    shown = json.loads(farm.run("start", "--json").stdout)
    assert (shown["host"], shown["tmp"]) == (HOST, f"{tmp}/1")
    eventually(lambda: shown["task_id"] in {job.task_id for job in farm.jobs()}, "the task is known")

    nowhere = farm.run("start", "--host", "nowhere")
    assert nowhere.returncode == 5
    assert f"No plotter is called nowhere. Those that were ever seen: {HOST}." in nowhere.stderr
    assert len(farm.jobs()) == 2

    # Calls by hand.
    seen = f"Those that were ever seen: {HOST}."
    for task, kwargs, sentence in (
        (PLOT, {"host": "nowhere"}, f"No plotter is called nowhere. {seen}"),
        (PLOT, {}, f"{PLOT} needs the name of a plotter."),
        (f"{PLOT}t", {"host": HOST}, f"plotman has no task {PLOT}t. Did you mean {PLOT}?"),
    ):
        lost = farm.celery("call", task, "--kwargs", json.dumps(kwargs))
        assert lost.returncode == 1
        assert lost.stderr.startswith(f"plotman: {sentence}")
        assert len(lost.stderr.splitlines()) == 1
    assert farm.board().queue_lengths(["plotter.nowhere", "plotman.unrouted"]) == {
        "plotter.nowhere": 0,
        "plotman.unrouted": 0,
    }
    taken = farm.celery("call", PLOT, "--kwargs", json.dumps({"host": HOST}))
    assert taken.returncode == 0, taken.stderr
    task_id = taken.stdout.strip()
    eventually(lambda: farm.status_of(task_id) == "FAILURE", "the order is refused")
    result = farm.celery("result", task_id)
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "plotman: This host makes 2 plots, and scheduling.global_max_jobs is 2. "
        "Wait for one to end, or raise the limit."
    ]
