"""xchplot2: several plots in one job, each of which counts once it has its name."""

from __future__ import annotations

import pytest

from common.config.sections.plotting import Plotting
from common.model.phase import Phase
from plotter_worker.plotters.base import CommandLine, Mode
from plotter_worker.plotters.registry import plotter_for, recognise, recognise_log
from plotter_worker.plotters.verdict import Failure, Success, Verdict, judge
from tests.unit.plotter_worker.plotters.reading import Log, read, steps

XCHPLOT2 = plotter_for("xchplot2")


def ids(plots: tuple) -> str:
    return "".join(plot.plot_id[0] for plot in plots)


def verdict(data: bytes, n: int, exit_code: int | None) -> Verdict:
    reader = XCHPLOT2.reader(CommandLine("xchplot2", n=n, cwd="/"))
    reader.feed(data)
    return judge(reader, exit_code, lambda path: None)


@pytest.mark.parametrize(("name", "n", "suffix"), [("gplot-n3", 3, "gplot"), ("plot2-n2", 2, "plot2")])
def test_each_plot_counts_when_it_is_published(log: Log, name: str, n: int, suffix: str) -> None:
    seen = steps(log(f"xchplot2-{name}"), "xchplot2", n)
    assert [len(each.plots_done) for each in seen if each.plots_done][-1] == n
    for progress in seen:
        assert progress.finished == (len(progress.plots_done) == n)
        assert progress.phase == Phase(
            min(1, progress.counted or len(progress.plots_done)), len(progress.plots_done)
        )
    done = seen[-1].plots_done
    assert ids(done) == "012"[:n]
    assert [plot.path for plot in done] == [f"/mnt/dst/00/plot-k28-{plot.plot_id}.{suffix}" for plot in done]
    assert (done[0].details.k, done[0].details.dst) == (28, "/mnt/dst/00")
    assert isinstance(verdict(log(f"xchplot2-{name}"), n, 0), Success)


def test_one_that_is_published_twice_counts_once(log: Log) -> None:
    data = log("xchplot2-plot2-n2")
    assert ids(read(data + data, "xchplot2", 3).plots_done) == "01"


def test_workers_lines_count_for_the_whole_job(log: Log) -> None:
    assert [each.counted for each in steps(log("xchplot2-gplot-n3"), "xchplot2", 3)][::3] == [0, 1, 2, 3]


def test_of_a_job_file_the_log_says_how_many_plots_it_has(log: Log) -> None:
    found = recognise(["xchplot2", "batch", "/d/xchplot2-job-1.tsv", "--resume"], "/")
    assert found is not None
    assert (found[1].n, found[1].k, found[1].dst) == (0, None, None)
    reader = found[0].reader(found[1])
    reader.feed(log("xchplot2-gplot-n3"))
    assert (reader.progress.asked, reader.progress.finished) == (3, True)


def published(number: int) -> str:
    return f"/d/plot-k28-{number:064x}.gplot\n"


@pytest.mark.parametrize(
    ("lines", "succeeds"),
    [
        (published(1), False),
        (published(1) + published(2) + "[plot] wrote 2 plots in 5 s (2.5 s/plot)\n", True),
        ("[plot] wrote 2 plots in 5 s (2.5 s/plot)\n" + published(1) + published(2), True),
        ("[plot] wrote 2 plots in 5 s (2.5 s/plot)\n" + published(1), False),
        (published(1) + "[plot] wrote 1 plot in 5 s (5 s/plot); failed 1\n", False),
        (published(1) + "[batch] cancel received - stopping before plot 3\n", False),
        ("[batch] cancel received - stopping before plot 2\n" + published(1) + published(2), True),
    ],
)
def test_a_job_of_unknown_length_succeeds_only_if_its_log_says_how_many_it_made(
    lines: str, succeeds: bool
) -> None:
    found = verdict(lines.encode(), 0, -9)
    assert isinstance(found, Success if succeeds else Failure)
    assert len(found.plots) == lines.count(".gplot")


def test_many_plots_of_one_job_are_each_made_into_a_result_once() -> None:
    reader = XCHPLOT2.reader(CommandLine("xchplot2", n=300, cwd="/"))
    seen: dict[str | None, set[int]] = {}
    kept = []
    for number in range(300):
        reader.feed(published(number).encode())
        kept.append(reader.progress)
        for plot in reader.progress.plots_done:
            seen.setdefault(plot.plot_id, set()).add(id(plot))
    assert [len(progress.plots_done) for progress in kept] == [*range(1, 301)]
    assert [plot.path for plot in kept[-1].plots_done] == [published(n).strip() for n in range(300)]
    assert max(map(len, seen.values())) < 50
    assert kept[-1].finished


def test_a_plot_that_fails_fails_the_job_and_the_others_are_kept(log: Log) -> None:
    found = verdict(log("xchplot2-failed"), 3, 3)
    assert isinstance(found, Failure)
    assert ids(found.plots) == "02"
    assert found.reason == (
        "The plotter gave up in phase 1:2 after 2 plots: plot 1: CUDA error: out of memory"
    )


def test_a_job_that_is_cancelled_ends_well_with_the_plots_in_flight(log: Log) -> None:
    found = verdict(log("xchplot2-cancelled"), 10, 4)
    assert isinstance(found, Success)
    assert ids(found.plots) == "012"


def test_a_job_that_is_cancelled_before_its_first_plot_has_failed() -> None:
    found = verdict("[batch] cancel received — stopping before plot 0\n".encode(), 10, 4)
    assert isinstance(found, Failure)
    assert found.reason == "The plotter gave up before phase 1: it was cancelled"


@pytest.mark.parametrize(
    ("name", "exit_code", "reason"),
    [
        ("arguments", 1, "The plotter gave up before phase 1: --pool-pk needs 96 hex characters"),
        ("exception", 2, "The plotter gave up before phase 1: no CUDA device found"),
    ],
)
def test_a_job_without_any_plot_says_why(log: Log, name: str, exit_code: int, reason: str) -> None:
    found = verdict(log(f"xchplot2-{name}"), 2, exit_code)
    assert isinstance(found, Failure)
    assert (found.reason, found.proven) == (reason, False)


def test_a_release_that_names_its_plots_at_the_end_is_counted_meanwhile(log: Log) -> None:
    seen = steps(log("xchplot2-june-n2"), "xchplot2", 2)
    assert [(each.counted, len(each.plots_done)) for each in seen] == [(1, 0), (2, 0), (2, 0), (2, 1), (2, 2)]
    assert seen[-1].finished


def test_its_names_are_not_believed_where_some_of_them_failed(log: Log) -> None:
    found = verdict(log("xchplot2-june-failed"), 2, 3)
    assert isinstance(found, Failure)
    assert found.plots == ()
    assert found.reason.endswith("plot 1: No space left on device")


def test_its_log_is_recognised(log: Log) -> None:
    for name in ("gplot-n3", "plot2-n2", "failed", "cancelled", "exception", "june-n2"):
        assert recognise_log(log(f"xchplot2-{name}")) is XCHPLOT2


def test_the_command_ignores_the_users_own_settings_and_tells_its_progress() -> None:
    plotting = Plotting.model_validate(
        {"type": "xchplot2", "farmer_pk": "f", "pool_contract_address": "xch1"}
    )
    assert " ".join(XCHPLOT2.argv(plotting, "/t", None, "/d")) == (
        "xchplot2 plot --config /dev/null -k 28 -n 10 -s 2 --temp-dir /t -o /d --progress "
        "--continue-on-error -f f -c xch1"
    )
    section = {
        "executable": "/opt/xchplot2", "k": 18, "plots_per_job": 3, "strength": 4, "meta_group": 7,
        "devices": "0,1:tiny", "cpu_workers": "2", "tier": "compact", "max_host_ram": "8G",
    }  # fmt: skip
    plotting = Plotting.model_validate({**plotting.model_dump(exclude_unset=True), "xchplot2": section})
    assert " ".join(XCHPLOT2.argv(plotting, "/t", "/t2", "/d")) == (
        "/opt/xchplot2 plot --config /dev/null -k 18 -n 3 -s 4 -g 7 --devices 0,1:tiny --cpu-workers 2 "
        "--tier compact --max-host-ram 8G --temp-dir /t -o /d --progress --continue-on-error -f f -c xch1"
    )
    found = recognise(XCHPLOT2.argv(plotting, "/t", "/t2", "/d"), "/")
    assert found == (XCHPLOT2, CommandLine("xchplot2", k=18, n=3, tmp="/t", tmp2="/t", dst="/d", cwd="/"))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("xchplot2 plot", CommandLine("xchplot2", k=28, tmp="/tmp", tmp2="/tmp", dst="/w", cwd="/w")),
        (
            "/opt/xchplot2 plot -k 22 --num 4 -f f --pool-ph 00 --out out --temp-dir t -v",
            CommandLine("xchplot2", k=22, n=4, tmp="/w/t", tmp2="/w/t", dst="/w/out", cwd="/w"),
        ),
        ("xchplot2 plot --help", None),
        ("xchplot2", None),
        *((f"xchplot2 {word} 28", None) for word in ("verify", "devices", "bench", "test", "completions")),
    ],
)
def test_only_commands_that_plot_are_recognised(line: str, expected: CommandLine | None) -> None:
    found = recognise(line.split(), "/w")
    assert (found and found[1]) == expected


def test_a_job_takes_room_in_dst_for_all_its_plots() -> None:
    plotting = Plotting.model_validate({"type": "xchplot2", "xchplot2": {"plots_per_job": 32}})
    one = XCHPLOT2.space(28, None, Mode.CPU, separate_tmp2=False)
    recipe = XCHPLOT2.recipe(plotting, separate_tmp2=False)
    assert 1.0033e9 < one.dst_bytes < 1.03e9
    assert (recipe.dst_bytes, recipe.tmp_bytes) == (32 * one.dst_bytes, one.tmp_bytes)


@pytest.mark.parametrize(
    ("k", "measured_bytes"), [(18, 658_000), (20, 2_890_000), (22, 12_600_000), (24, 54_300_000)]
)
def test_no_plot_is_larger_than_its_plan(k: int, measured_bytes: int) -> None:
    assert (
        measured_bytes
        <= XCHPLOT2.space(k, None, Mode.CPU, separate_tmp2=False).dst_bytes
        <= measured_bytes * 1.05
    )
