"""What one machine says of itself costs the others nothing: lengths that no honest machine comes near."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from common.model import windows
from common.model.disk_usage import DiskUsage
from common.model.figures import JOBS_MAX, LONGEST_PATH, LONGEST_REASON
from common.model.phase import Phase
from common.model.plot_name import _plot_id_of, plot_id_of
from common.model.snapshot import Directory, FinishedPlot, Hold, Job, PlotState, PlotterSnapshot, TmpDir
from tests.support.told import plotter

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def job(number: int = 0, **fields: str) -> Job:
    return Job(task_id=str(number), plotter="chia", pid=number, started_at=NOW, ours=True, **fields)


def tmp(path: str) -> TmpDir:
    return TmpDir(path=path, max_jobs=1, stagger_phase=Phase(2, 1), stagger_limit=1)


def read(**fields: object) -> PlotterSnapshot:
    return PlotterSnapshot.model_validate_json(plotter(host="p1").model_copy(update=fields).model_dump_json())


def test_a_path_has_at_most_the_length_that_linux_allows() -> None:
    path = "/" * LONGEST_PATH
    assert Directory(path=path).path == path
    for make in (
        lambda: Directory(path=path + "a"),
        lambda: job(tmp=path + "a"),
        lambda: job(dst=path + "a"),
        lambda: FinishedPlot(path=path + "a", size_bytes=1, state=PlotState.READY, since=NOW),
    ):
        with pytest.raises(ValidationError, match="at most 4096 characters"):
            make()


def test_a_host_has_at_most_a_thousand_jobs() -> None:
    jobs = tuple(map(job, range(JOBS_MAX)))
    assert len(read(jobs=jobs).jobs) == JOBS_MAX
    with pytest.raises(ValidationError, match="jobs"):
        read(jobs=(*jobs, job(JOBS_MAX)))


@pytest.mark.parametrize("key", ["tmp_dirs", "dst_dirs"])
def test_a_directory_that_is_named_twice_is_refused(key: str) -> None:
    make = tmp if key == "tmp_dirs" else lambda path: Directory(path=path)
    assert read(**{key: (make("/a"), make("/b"))})
    with pytest.raises(ValidationError, match="a directory twice"):
        read(**{key: (make("/a"), make("/b"), make("/a/"))})


def test_a_window_is_short() -> None:
    """The time that its form is looked for in grows with the square of its length."""
    with pytest.raises(ValueError, match="longer than 100 characters"):
        windows.parse("Mon" + " " * 100 + "x")
    with pytest.raises(ValidationError, match="windows"):
        read(windows=("x" * 101,))


def test_the_reason_of_a_hold_is_cut() -> None:
    assert Hold(reason="x" * 5000).reason == "x" * LONGEST_REASON
    assert Hold().reason is None


def test_ids_of_plots_are_remembered_by_their_names_and_not_by_their_folders() -> None:
    name = f"plot-k32-2026-11-22-15-48-{7:064x}.plot"
    _plot_id_of.cache_clear()
    for number in range(100):
        assert plot_id_of(f"/{'folder' * number}/{name}") == f"{7:064x}"
    assert plot_id_of("/dst/" + "x" * 256) is None
    assert _plot_id_of.cache_info().currsize == 1


@given(
    st.lists(st.sampled_from(["/a", "/a/b", "/ab", "/a/b/c/d", "/z"]), unique=True),
    st.text("/ab", max_size=9),
)
def test_a_directory_without_a_configuration_is_on_the_disk_of_the_nearest_one_above(
    configured: list[str], below: str
) -> None:
    path = f"/{below.strip('/')}"
    usage = DiskUsage(
        plotter(host="p1").model_copy(update={"tmp_dirs": tuple(map(tmp, configured)), "dst_dirs": ()})
    )
    above = [each for each in configured if path == each or path.startswith(f"{each}/")]
    disk = usage.at(path).disk
    if above:
        assert disk is usage.at(max(above, key=len)).disk
    else:
        assert disk not in [usage.at(each).disk for each in configured]


@pytest.mark.parametrize("forged", ["all", "ALL", "-y", "web", "", "a" * 65, "\u0661" * 8])
def test_an_id_that_would_mean_something_in_a_command_is_none(forged: str) -> None:
    """`plotman kill all` kills all plots; what `why` prints is pasted."""
    job = Job(plotter="chia", pid=1, started_at=datetime.now(UTC), ours=True, task_id="t", plot_id=forged)
    assert job.plot_id is None


def test_an_id_is_hexadecimal() -> None:
    job = Job(plotter="chia", pid=1, started_at=datetime.now(UTC), ours=True, task_id="t", plot_id="aB" * 32)
    assert job.plot_id == "aB" * 32


@pytest.mark.parametrize("eta_s", [-9e10, -1.0, 1e10])
def test_an_eta_that_no_plot_has_is_unknown(eta_s: float) -> None:
    """It is added to a time, which has no such years."""
    assert Job.model_validate(job().model_dump() | {"eta_s": eta_s}).eta_s is None
    assert Job.model_validate(job().model_dump() | {"eta_s": 60.0}).eta_s == 60.0
