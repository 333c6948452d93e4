"""Records of jobs: a file each, named by a task id that came in a message."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from plotter_worker.jobs.records import JobRecord, Records

PATHS = [
    "../x",
    "/etc/x",
    "..",
    ".",
    ".x",
    "",
    "a/b",
    "a\n",
    "a\0",
    "-rf /",
    "é",
    "x" * 101,
    "by_hand.1",
    "8A6E0804-2BD0-4672-B79D-D97027F9071A",
]


def record(task_id: str) -> JobRecord:
    return JobRecord(
        task_id=task_id, plotter="chia", ours=True, accepted_at=datetime.now(UTC), argv=("chia", "plots")
    )


@pytest.mark.parametrize("task_id", PATHS)
def test_a_task_id_that_is_a_path_names_no_file(task_id: str, tmp_path: Path) -> None:
    records = Records(tmp_path / "jobs")
    (tmp_path / "x.json").write_text("untouched")
    with pytest.raises(ValueError, match="task id"):
        records.save(record(task_id))
    with pytest.raises(ValueError, match="task id"):
        records.remove(task_id)
    assert (tmp_path / "x.json").read_text() == "untouched"
    assert list((tmp_path / "jobs").iterdir()) == []


def test_a_record_is_kept_until_it_is_removed(tmp_path: Path) -> None:
    task_id = "8a6e0804-2bd0-4672-b79d-d97027f9071a"
    records = Records(tmp_path / "jobs")
    records.save(record(task_id))
    assert [one.task_id for one in Records(tmp_path / "jobs").all()] == [task_id]
    records.remove(task_id)
    assert records.all() == []


def test_a_record_that_could_not_be_written_again_is_left_out(tmp_path: Path) -> None:
    records = Records(tmp_path / "jobs")
    (tmp_path / "jobs" / "mine.json").write_text(record("mine").model_dump_json())
    assert records.all() == []
