"""Which GPUs of a plotter host may take another job."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.model.gpu_slots import free_gpus
from tests.unit.beat.builders import job, plotter


@pytest.mark.parametrize(
    ("gpus", "each", "used", "free"),
    [
        ("", 1, "", ""),
        ("01", 1, "", "01"),
        ("01", 1, "0", "1"),
        ("01", 2, "0", "101"),
        ("01", 2, "01", "01"),
        ("01", 1, "01", ""),
        ("01", 1, "00", "1"),  # by hand, or before the limit was lowered
        ("01", 1, "7", "01"),  # a GPU that is not configured
        ("01", 1, "G", ""),  # a UUID may be one of the numbers
        ("01", 2, "G0", "1"),
        ("GH", 1, "0", ""),
        ("GH", 1, "G", "H"),
        ("GH", 1, "I", ""),  # UUIDs may be shortened
        ("0G", 1, "1", ""),
        ("01", 1, "?", ""),  # it may be any
        ("01", 2, "?", "01"),
        ("01", 2, "?0", "1"),
        ("01", 0, "", ""),
    ],
)
def test_the_least_used_gpu_is_the_first(gpus: str, each: int, used: str, free: str) -> None:
    jobs = tuple(job(gpu=gpu.replace("?", "")) for gpu in used)
    host = plotter(gpus=tuple(gpus), jobs_per_gpu=each, jobs=(*jobs, job(gpu=None)))
    assert "".join(free_gpus(host)) == free


@given(st.lists(st.sampled_from(["0", "1", "2", ""]), max_size=12), st.integers(0, 4), st.integers(0, 12))
def test_no_gpu_ever_gets_more_jobs_than_it_may_have(used: list[str], each: int, starts: int) -> None:
    jobs = tuple(job(gpu=gpu) for gpu in used)
    for _ in range(starts):
        host = plotter(gpus=("0", "1", "2"), jobs_per_gpu=each, jobs=jobs)
        free = free_gpus(host)
        if not free:
            break
        before = [one.gpu for one in jobs]
        assert before.count(free[0]) + before.count("") < each
        jobs = (*jobs, job(gpu=free[0]))
