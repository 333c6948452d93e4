"""What a plotter host keeps of its jobs: a row for each plot, once, whichever worker saw its end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from common.config.model import Config
from common.errors import TransferFailed
from common.history.pages import HistoryOrder, page
from common.history.recorder import history_path
from common.history.rows import End, HistoryKind, PlotEnd, Row, TransferEnd
from common.history.store import reading
from common.model.messages import Admission, Delivery, Reservation
from common.names import Role
from common.worker.move_step import StepInterrupted
from plotter_worker.jobs import outcome as ending
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.jobs.records import JobRecord, Records
from plotter_worker.plotters.base import CommandLine
from plotter_worker.plotters.registry import plotter_for
from plotter_worker.reporting.events import PlotterEvents
from plotter_worker.reporting.plot_history import PlotHistory
from plotter_worker.reporting.transfer_history import TransferHistory
from tests.support.paths import LOGS
from tests.support.waiting import eventually
from tests.unit.plotter_worker.builders import Sink, T

START = datetime.now(UTC) - timedelta(hours=5)


@pytest.fixture
def settings(tmp_path: Path) -> Config:
    return Config.model_validate({"version": [2], "farm": {"host": "p1", "state": str(tmp_path / "state")}})


@pytest.fixture
def history(settings: Config) -> Iterator[PlotHistory]:
    made = PlotHistory(settings, lambda: None)
    made.start()
    yield made
    made.stop()


def rows(settings: Config, kind: HistoryKind, role: str = "plotter") -> list[Row]:
    with reading(settings.state_dir / "history" / f"{role}.sqlite3") as file:
        return file.page(kind, 99) if file else []


def kept(settings: Config, count: int) -> list[PlotEnd]:
    """This number of plots, oldest first."""
    found = eventually(
        lambda: len(all_ := rows(settings, HistoryKind.PLOTS)) >= count and all_, "they are kept"
    )
    assert len(found) == count
    return [row for row in reversed(found) if isinstance(row, PlotEnd)]


def job(log: str, plotter: str, n: int = 1, share: float = 1.0) -> TrackedJob:
    record = JobRecord(
        task_id=f"task-{log}",
        plotter=plotter,
        ours=True,
        accepted_at=START - timedelta(seconds=1),
        started_at=START,
        argv=(),
        log=str(LOGS / f"{log}.log"),
        tmp="/mnt/t1",
    )
    made = TrackedJob(record, plotter_for(plotter), CommandLine(plotter, n=n, cwd="/farm", k=18))
    data = (LOGS / f"{log}.log").read_bytes()
    made.reader.feed(data[: int(len(data) * share)])
    return made


def seen(history: PlotHistory, job: TrackedJob) -> None:
    """What a worker does that has read the job's log."""
    count = PlotterEvents("p1", Sink(), history).progressed_in(job)
    job.record = job.record.model_copy(update={"plots_reported": count})


def test_a_job_of_two_plots_is_two_rows_told_while_it_runs_and_when_it_ends(
    history: PlotHistory, settings: Config
) -> None:
    both = job("madmax-k18-n2", "madmax", n=2)
    seen(history, both)
    first = kept(settings, 2)
    history.ended(both, ending.judge_end(both, 0, datetime.now(UTC)))
    history.stop()
    assert kept(settings, 2) == first
    one, other = sorted(first, key=lambda row: row.phase1_s or 0)
    assert (one.end, one.version, one.threads, one.phase1_s) == (End.DONE, "5b5bd68", 2, 0.61)
    assert (other.end, other.version, other.threads, other.phase1_s) == (End.DONE, "5b5bd68", 2, 0.62)
    assert one.started_at == START


def test_each_plot_of_a_batch_took_the_time_since_the_one_before(
    history: PlotHistory, settings: Config
) -> None:
    batch, whole = job("xchplot2-gplot-n3", "xchplot2", n=3, share=0), LOGS / "xchplot2-gplot-n3.log"
    for count, line in enumerate(whole.read_bytes().splitlines(keepends=True)):
        batch.reader.feed(line)
        seen(history, batch)
        if b"plot-k28" in line:
            kept(settings, len(batch.progress.plots_done))
        assert count < 10
    made = kept(settings, 3)
    history.ended(batch, ending.judge_end(batch, 0, datetime.now(UTC)))
    history.stop()
    assert kept(settings, 3) == made
    assert [row.plot_id and row.plot_id[0] for row in made] == ["0", "1", "2"]
    assert [row.started_at for row in made] == [START, made[0].ended_at, made[1].ended_at]


def test_two_plots_of_a_batch_that_are_seen_at_once_have_no_start(
    history: PlotHistory, settings: Config
) -> None:
    batch = job("xchplot2-gplot-n3", "xchplot2", n=3, share=0.3)
    seen(history, batch)
    kept(settings, 1)
    data = (LOGS / "xchplot2-gplot-n3.log").read_bytes()
    batch.reader.feed(data[int(len(data) * 0.3) :])
    seen(history, batch)
    assert [row.started_at for row in kept(settings, 3)] == [START, None, None]


def test_plots_of_a_batch_that_nobody_saw_one_by_one_have_no_start(
    history: PlotHistory, settings: Config
) -> None:
    seen(history, job("xchplot2-gplot-n3", "xchplot2", n=3))
    made = kept(settings, 3)
    assert sorted(row.started_at or START for row in made) == [START] * 3
    assert sum(row.started_at is None for row in made) == 2


@pytest.mark.parametrize(
    ("n", "exit_code", "reasons"),
    [
        (4, 3, ["plot 1: CUDA error: out of memory", "plot 3: read error"]),
        (5, -9, ["plot 1: CUDA error: out of memory", "plot 3: read error", "after 2 plots"]),
    ],
    ids=["tried all", "ended early"],
)
def test_each_plot_of_a_batch_that_failed_is_a_row(
    history: PlotHistory, settings: Config, n: int, exit_code: int, reasons: list[str]
) -> None:
    batch = job("xchplot2-failed", "xchplot2", n=n)
    batch.reader.feed("[batch] plot 3 FAILED (write /mnt/dst/x): read error — continuing\n".encode())
    seen(history, batch)
    for _ in range(2):  # also if its worker was replaced
        history.ended(batch, ending.judge_end(batch, exit_code, datetime.now(UTC)))
    history.stop()
    found = kept(settings, 2 + len(reasons))
    assert [row.end for row in found].count(End.DONE) == 2
    failed = [row.reason or "" for row in found if row.end is End.FAILED]
    assert len(failed) == len(reasons)
    assert all(any(reason in row for row in failed) for reason in reasons)


def test_a_killed_plot_is_kept_with_its_reason_and_the_phases_it_had_behind_it(
    history: PlotHistory, settings: Config
) -> None:
    half = job("chiapos-k18", "chiapos", share=0.7)
    half.record = half.record.model_copy(update={"killed_by": "an operator"})
    history.ended(half, ending.judge_end(half, -15, datetime.now(UTC)))
    (row,) = kept(settings, 1)
    assert (row.end, row.reason, row.path) == (End.KILLED, "Stopped by an operator.", None)
    assert row.plot_id and row.phase1_s and row.phase4_s is None
    assert history.tally().day_count == 0


@pytest.mark.parametrize(("exit_code", "end"), [(None, End.UNKNOWN), (1, End.FAILED)])
def test_how_a_plotter_without_a_log_ended_is_known_only_by_its_exit_code(
    exit_code: int | None, end: End, history: PlotHistory, settings: Config
) -> None:
    mute = job("chiapos-k18", "chiapos", share=0)
    outcome = ending.judge_end(mute, exit_code, datetime.now(UTC))
    assert (outcome.succeeded, outcome.failed) == (False, end is End.FAILED)
    history.ended(mute, outcome)
    (row,) = kept(settings, 1)
    assert (row.end, row.reason, row.plot_id) == (end, outcome.reason, None)
    assert history.tally().day_count == 0
    order = HistoryOrder(host="p1", kind=HistoryKind.PLOTS, failed=True)
    asked = page(order, [(history_path(settings.state_dir, Role.PLOTTER), None)])
    assert len(asked["rows"]) == (1 if end is End.FAILED else 0)


def test_an_end_that_nobody_watched_is_kept_at_the_time_that_the_plotter_told(
    history: PlotHistory, settings: Config
) -> None:
    unseen = job("chiapos-k18", "chiapos")
    history.ended(unseen, ending.judge_end(unseen, None, datetime.now(UTC)))
    (row,) = kept(settings, 1)
    assert row.ended_at == START + timedelta(seconds=0.799)


def test_what_a_former_worker_saw_end_and_did_not_keep_is_kept_at_the_next_start(settings: Config) -> None:
    ended = job("chiapos-k18", "chiapos")
    outcome = ending.judge_end(ended, 0, datetime.now(UTC))
    kept_record = ended.record.model_copy(update={"outcome": outcome, "task_id": T})
    Records(settings.state_dir / "jobs").save(kept_record)
    for _ in range(2):
        worker = PlotHistory(settings, lambda: None)
        worker.start()
        (row,) = kept(settings, 1)
        worker.stop()
    assert (row.end, row.plot_id, row.total_s) == (End.DONE, ended.progress.plot_id, 0.799)
    assert row.phase1_s == 0.508


PLOT = f"plot-k18-2026-11-22-15-50-{'c' * 64}.plot"


def test_a_transfer_is_one_row_with_the_tries_that_it_took(history: PlotHistory, settings: Config) -> None:
    archiver = TransferHistory(settings, lambda: None)
    archiver.start()
    path = f"/mnt/dst/{PLOT}"
    reservation = Reservation(
        host="h1", source_host="p1", path=path, size_bytes=4_000_000, drive="/mnt/1", took_s=0.25
    )
    with pytest.raises(TransferFailed), archiver.trying(path, "h1", "try1"):
        raise TransferFailed("The cable was pulled.", "Plug it in.")
    with pytest.raises(StepInterrupted), archiver.trying(path, "h1", "try2"):
        raise StepInterrupted
    with archiver.trying(path, "h1", "try3") as delivered:
        delivered(Delivery(reservation=reservation, digest="x", sent_bytes=3_000_000, took_s=2.0))
    archiver.stop()
    assert archiver.tally().day_bytes == 4_000_000
    assert [row.end for row in rows(settings, HistoryKind.TRANSFERS, "archiver")] == [End.SENT, End.FAILED]
    admission = Admission(
        reservation=reservation, landed=f"/mnt/1/{PLOT}", size_bytes=4_000_000, verified="30 proofs", took_s=5
    )
    for _ in range(2):  # the task may be delivered twice
        history.released(admission)
    history.refused(path, "It is no plot.")
    history.stop()
    refused, archived = rows(settings, HistoryKind.TRANSFERS)
    assert isinstance(archived, TransferEnd) and isinstance(refused, TransferEnd)
    assert (archived.end, archived.attempts, archived.sent_bytes) == (End.ARCHIVED, 2, 3_000_000)
    assert (archived.reserve_s, archived.transfer_s, archived.admit_s) == (0.25, 2.0, 5)
    assert (archived.rate_bytes_s, archived.drive, archived.verified) == (1_500_000, "/mnt/1", "30 proofs")
    assert (refused.end, refused.harvester, refused.reason) == (End.REFUSED, "h1", "It is no plot.")


def test_a_plot_whose_source_is_gone_before_its_plotter_still_has_its_size(
    history: PlotHistory, settings: Config
) -> None:
    quick = job("madmax-k18", "madmax")
    path = quick.progress.plots_done[0].path
    assert path is not None
    reservation = Reservation(host="h1", source_host="p1", path=path, size_bytes=4_000_000, drive="/mnt/1")
    history.released(
        Admission(reservation=reservation, landed="/mnt/1/x", size_bytes=4_000_000, verified="30 proofs")
    )
    history.ended(quick, ending.judge_end(quick, 0, datetime.now(UTC)))
    assert kept(settings, 1)[0].size_bytes == 4_000_000
