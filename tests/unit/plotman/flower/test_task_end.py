"""The question before a task is terminated, and the sentence after a plot has ended."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from common import names
from common.model.pending import MoveStep, PendingMove
from common.model.snapshot import Event
from common.names import Role
from plotman.flower.tasks import Question, ending, question
from tests.support import showcase

FARM = showcase.small()


def text_of(of: Question) -> str:
    return "\n".join([of.title, *(f"{label}: {value}" for label, value in of.facts), of.follows, of.button])


def test_the_question_about_a_plot_names_id_host_phase_percent_and_deleted_files() -> None:
    host, job = next((host, job) for host, job in FARM.jobs() if job.plot_id and job.tmp_used_bytes)
    of = question(job.task_id, names.PLOT, FARM)
    text = text_of(of)
    assert job.plot_id
    for wanted in (
        f"Terminate plot {job.plot_id[:8]}?",
        f"Plot: {job.plot_id[:8]} ({job.plot_id})",
        f"Host: {host}",
        f"Phase: {job.phase}, {job.percent:.0f} %",
        f"unfinished files in {job.tmp}",
        "when last measured",
        "cannot be undone",
    ):
        assert wanted in text
    assert "is down" not in text
    # Also if Flower does not know the name of the task.
    assert question(job.task_id, None, FARM) == of


def test_a_plot_whose_worker_is_down_is_killed_later() -> None:
    host, job = FARM.jobs()[0]
    down = replace(FARM, stale=frozenset({(Role.PLOTTER, host)}))
    assert f"worker of {host} is down: the plot runs until" in text_of(
        question(job.task_id, names.PLOT, down)
    )


def test_the_question_about_a_plot_started_by_hand_and_without_an_id() -> None:
    host, job = FARM.jobs()[0]
    new = job.model_copy(
        update={"ours": False, "plot_id": None, "phase": None, "percent": None, "tmp_used_bytes": 0}
    )
    plotter = FARM.plotters[host].model_copy(update={"jobs": (new,)})
    text = text_of(question(job.task_id, names.PLOT, replace(FARM, plotters={host: plotter})))
    for wanted in (
        "no id yet, pid",
        "Phase: unknown\n",
        "Size: not measured yet",
        "by hand, or by another manager",
    ):
        assert wanted in text


def test_the_question_about_a_transfer_names_plot_and_drive() -> None:
    farm = showcase.troubled()
    host, archiver = next((host, each) for host, each in farm.archivers.items() if each.transfers)
    transfer = archiver.transfers[0]
    move = PendingMove(
        path=transfer.path,
        harvester=transfer.harvester,
        size_bytes=transfer.size_bytes,
        step=MoveStep.TRANSFER,
        expires_at=FARM.at + timedelta(minutes=1),
        task_id="t",
    )
    farm = replace(farm, moves={(host, transfer.path): move})
    text = text_of(question("t", names.TRANSFER, farm))
    assert transfer.plot_id
    for wanted in (transfer.plot_id, host, f"{transfer.harvester}:{transfer.drive}", "% of", "Stop transfer"):
        assert wanted in text
    follows = "The source is kept, and the transfer is retried after a pause."
    assert follows in text
    unknown = question("of another", names.ARCHIVE_TO_TARGET, farm)
    assert unknown.facts == ()
    assert follows in unknown.follows


@pytest.mark.parametrize(
    ("name", "follows"),
    [
        (names.PLOT, "No plotter reports this plot"),
        (names.ADMIT, "The source is kept"),
        (names.RELEASE, "is not stopped"),
        ("another.program", "is not stopped"),
        (None, "is not stopped"),
    ],
)
def test_the_question_about_other_tasks_says_what_follows(name: str | None, follows: str) -> None:
    assert follows in question("unknown", name, FARM).follows


def test_the_last_event_says_how_a_plot_ended() -> None:
    def event(kind: str, task_id: str, seconds: int) -> Event:
        at = FARM.at + timedelta(seconds=seconds)
        return Event(kind=kind, host="p1", at=at, text=f"text of {kind}", task_id=task_id)

    events = [
        event("plot-started", "t", 0),
        event("plot-failed", "t", 1),
        event("plot-killed", "t", 2),
        event("plot-done", "other", 3),
        event("plot-cleaned-up", "t", 4),
    ]
    end = ending("t", events)
    assert end is not None
    assert end.text == "Terminated on p1: text of plot-killed."
    assert end.at == events[2].at
    assert ending("t", events[:1]) is None
    assert ending("unknown", events) is None
