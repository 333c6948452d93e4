"""What is asked before a task is terminated, and how a plot's end is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from common import names
from common.model.pending import MoveStep, PendingMove
from common.model.snapshot import Event
from common.names import Role
from plotman.flower.task_end import Question, ending, question
from tests.support import showcase

FARM = showcase.small()


def asked(of: Question) -> str:
    return "\n".join([of.title, *(f"{label}: {value}" for label, value in of.facts), of.follows, of.button])


def test_of_a_plot_it_names_id_host_phase_percent_and_what_is_deleted() -> None:
    host, job = next((host, job) for host, job in FARM.jobs() if job.plot_id and job.tmp_used_bytes)
    of = question(job.task_id, names.PLOT, FARM)
    text = asked(of)
    assert job.plot_id
    for wanted in (
        f"Terminate plot {job.plot_id[:8]}?",
        f"Plot: {job.plot_id[:8]} ({job.plot_id})",
        f"Host: {host}",
        f"Phase: {job.phase}, {job.percent:.0f} %",
        f"unfinished files in {job.tmp}",
        "when last looked at",
        "cannot be undone",
    ):
        assert wanted in text
    assert "is away" not in text
    # Also where Flower has not heard what the task is.
    assert question(job.task_id, None, FARM) == of


def test_of_a_plot_whose_worker_is_away_it_says_when_it_ends() -> None:
    host, job = FARM.jobs()[0]
    away = replace(FARM, stale=frozenset({(Role.PLOTTER, host)}))
    assert f"worker of {host} is away: the plot runs on" in asked(question(job.task_id, names.PLOT, away))


def test_of_a_plot_by_hand_and_of_one_without_an_id_yet_it_says_so() -> None:
    host, job = FARM.jobs()[0]
    new = job.model_copy(
        update={"ours": False, "plot_id": None, "phase": None, "percent": None, "tmp_used_bytes": 0}
    )
    plotter = FARM.plotters[host].model_copy(update={"jobs": (new,)})
    text = asked(question(job.task_id, names.PLOT, replace(FARM, plotters={host: plotter})))
    for wanted in (
        "no id yet, pid",
        "Phase: unknown\n",
        "Size: not known yet",
        "by hand, or by another manager",
    ):
        assert wanted in text


def test_of_a_transfer_it_names_plot_and_drive_and_says_what_follows() -> None:
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
    text = asked(question("t", names.TRANSFER, farm))
    assert transfer.plot_id
    for wanted in (transfer.plot_id, host, f"{transfer.harvester}:{transfer.drive}", "% of", "Stop transfer"):
        assert wanted in text
    follows = "The source is kept, and sending it is tried again after a pause."
    assert follows in text
    unknown = question("of another", names.ARCHIVE_TO_TARGET, farm)
    assert unknown.facts == ()
    assert follows in unknown.follows


@pytest.mark.parametrize(
    ("name", "follows"),
    [
        (names.PLOT, "No plotter says that it makes this plot"),
        (names.ADMIT, "The source is kept"),
        (names.RELEASE, "not stopped halfway"),
        ("another.program", "not stopped halfway"),
        (None, "not stopped halfway"),
    ],
)
def test_of_any_other_task_it_says_what_follows(name: str | None, follows: str) -> None:
    assert follows in question("unknown", name, FARM).follows


def test_how_a_plot_ended_is_its_last_word() -> None:
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
