"""Which processes are plotters, and what their command lines say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plotter_worker.plotters.base import CommandLine, Mode
from plotter_worker.plotters.registry import recognise

CWD = "/farm"


def command(line: str, cwd: str | None = CWD) -> CommandLine | None:
    found = recognise(line.split(), cwd)
    if found is None:
        return None
    plotter, what = found
    assert plotter.name == what.plotter
    return what


CHIA = CommandLine("chia", k=22, tmp="/t1", tmp2="/t2", dst="/d", cwd=CWD)


@pytest.mark.parametrize(
    "line",
    [
        "/opt/venv/bin/python3 /opt/venv/bin/chia plots create -k 22 -t /t1 -2 /t2 -d /d",
        "python3.11 /opt/venv/bin/chia plots create -k22 -t /t1/ -2 /t2// -d /x/../d",
        "/usr/bin/python -u -X dev chia plots create --size=22 --tmp_dir /t1 --tmp2_dir=/t2 --final_dir /d",
        "python3 -m chia.cmds.chia plots create -k 22 -t /t1 -2 /t2 -d /d",
        "chia plots create -k 22 -t /t1 -2 /t2 -d /d -n 1 -r 2 -u 16 -b 3389 -f aa -p bb",
        "/opt/chia --root-path /r plots create -xek22 -t/t1 -2/t2 -d/d",
        "chia plots create -d /elsewhere -k 22 -t /t1 -2 /t2 -d /d --no-such-option -Q",
    ],
)
def test_chia_is_recognised_in_every_spelling(line: str) -> None:
    assert command(line) == CHIA


def test_absent_directories_have_chia_s_defaults() -> None:
    assert command("chia plots create -t tmp -d dst") == CommandLine(
        "chia", k=32, tmp="/farm/tmp", tmp2="/farm/tmp", dst="/farm/dst", cwd=CWD
    )


def test_chiapos_takes_shortened_options() -> None:
    expected = CommandLine("chiapos", k=18, n=3, tmp="/t1", tmp2="/t2", dst="/d", cwd=CWD)
    words = "/venv/bin/python3 /venv/bin/chia plotters chiapos"
    assert command(f"{words} -k 18 -n 3 -u 16 -s 2000 -t /t1 -2 /t2 -d /d -x") == expected
    assert command(f"{words} --size 18 --count=3 --tmp_dir /t1 --tmp_dir2 /t2 --final /d") == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "chia_plot -k 18 -n -1 -r 2 -u 16 -t T1/ -2 T2/ -d DST/ -f aa -p bb",
            CommandLine("madmax", k=18, n=-1, tmp="/farm/T1", tmp2="/farm/T2", dst="/farm/DST", cwd=CWD),
        ),
        (
            "/opt/chia_plot_k34 --size=33 --tmpdir=/t/ -wG",
            CommandLine("madmax", k=33, tmp="/t", tmp2="/t", dst="/t", cwd=CWD),
        ),
        (
            "chia_plot -C 7 -t /t/ -d /d1/ -d /d2/",
            CommandLine("madmax", k=32, tmp="/t", tmp2="/t", dst="/d2", compression=7, cwd=CWD),
        ),
        (
            "./cuda_plot_k32 -n -1 -C 7 -t /t/ -2 @RAM -d @HOST -g 0 -r 2 -S 4 -M 64 -Q 2 -A 1 -W 1 -D",
            CommandLine("madmax", k=32, n=-1, tmp="/t", dst=None, compression=7, mode=Mode.GPU, cwd=CWD),
        ),
        (
            "cuda_plot_k32_v3 -C 33 -t /t/ -2 /s/ -3 /s/ -d /d/",
            CommandLine(
                "madmax", k=32, tmp="/t", tmp2="/s", dst="/d", compression=33, mode=Mode.GPU, cwd=CWD
            ),
        ),
        (
            "cuda_plot_k29 -t /t/",
            CommandLine("madmax", k=29, tmp="/t", dst="/t", mode=Mode.GPU, cwd=CWD),
        ),
    ],
)
def test_madmax_and_gigahorse_are_one_family(line: str, expected: CommandLine) -> None:
    assert command(line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "bladebit -t 16 -n 5 -f aa -p bb /d/",
            CommandLine("bladebit", 32, 5, dst="/d", mode=Mode.RAM, cwd=CWD),
        ),
        (
            "bladebit -n 0 -f aa -c xch1 -z 3 ramplot d",
            CommandLine("bladebit", 32, 0, dst="/farm/d", compression=3, mode=Mode.RAM, cwd=CWD),
        ),
        (
            "/opt/bladebit -f aa -p bb diskplot -a -b 128 -t1 /t1/ -t2 /t2 --cache 32G /d",
            CommandLine("bladebit", 32, 1, "/t1", "/t2", "/d", mode=Mode.DISK, cwd=CWD),
        ),
        (
            "bladebit_cuda -f aa -c xch1 --compress cudaplot -d 1 /d",
            CommandLine("bladebit", 32, 1, dst="/d", compression=1, mode=Mode.CUDA, cwd=CWD),
        ),
        (
            "bladebit_cuda -z 5 cudaplot --disk-16 --temp2 /t --check 100 /d",
            CommandLine("bladebit", 32, 1, "/t", "/t", "/d", compression=5, mode=Mode.CUDA_DISK, cwd=CWD),
        ),
    ],
)  # fmt: skip
def test_bladebit_is_recognised_in_each_mode(line: str, expected: CommandLine) -> None:
    assert command(line) == expected


@pytest.mark.parametrize(
    ("line", "plotter"),
    [
        ("/v/bin/python3 /v/bin/chia plotters madmax -k 21 -u 16 -v 16 -t /t1 -2 /t2 -d /d", "madmax"),
        ("python3 /v/bin/chia plotters bladebit diskplot -t /t1 -2 /t2 -v -d /d --compress 0", "bladebit"),
    ],
)  # fmt: skip
def test_chia_plotters_only_wraps_the_plotter_that_is_its_child(line: str, plotter: str) -> None:
    wrapper = command(line)
    assert wrapper is not None
    assert wrapper.wrapper
    assert (wrapper.plotter, wrapper.tmp, wrapper.tmp2, wrapper.dst) == (plotter, "/t1", "/t2", "/d")
    child = command("/v/bin/chia_plot -f aa -p bb -t /t1/ -2 /t2/ -d /d/ -n 1 -r 4 -u 16 -v 16 -K 1 -k 21")
    assert child is not None
    assert not child.wrapper


@pytest.mark.parametrize(
    "line",
    [
        "",
        "vim chia_plot",
        "tail -f /logs/chia_plot.log",
        "grep chia_plot",
        "bash -c chia_plot",
        "/bin/sh /usr/local/bin/chia_plot -t /t/",
        "python3",
        "python3 -c import_chia plots create",
        "python3 /opt/plots.py plots create",
        "chia",
        "chia start farmer",
        "chia plots check -n 30",
        "chia plots add -d /d",
        "chia plots create --help",
        "chia plotters version",
        "chia plotters install madmax",
        "chia_plot --help",
        "chia_plot_sink -P 1337 -- /d1/",
        "chia_plot_copy -d host -- x.plot",
        "chia_daemon",
        "bladebit --version",
        "bladebit --memory-json",
        "bladebit check -n 100 x.plot",
        "bladebit -f aa validate x.plot",
        "bladebit",
    ],
)
def test_other_processes_are_no_plotters(line: str) -> None:
    assert command(line) is None


def test_without_a_working_directory_only_absolute_directories_are_known() -> None:
    found = command("chia plots create -k 32 -t tmp -d /d", cwd=None)
    assert found == CommandLine("chia", k=32, tmp=None, tmp2=None, dst="/d")


@pytest.mark.parametrize("k", [-1, 0, 100, 5000, 10**30])
def test_a_number_that_no_plotter_takes_is_unknown_or_endless(k: int) -> None:
    """Any process may have it in its argv, and sizes are computed with it."""
    assert CommandLine("xchplot2", k=k, n=10**12) == CommandLine("xchplot2", k=None, n=0)


def test_an_invalid_number_is_unknown() -> None:
    found = command("chia plots create -k many -n few -t /t -d /d")
    assert found is not None
    assert found.k is None
    assert found.n == 1


_WORDS = """
    chia plots create plotters chiapos madmax bladebit diskplot chia_plot cuda_plot_k32 python3 -m
    -k -k= -n -t --tmp --size= --size -2 -d -C -xe -xek -z --compress -- - --help -t1 /t 32 @RAM -1
"""


@given(
    st.lists(st.sampled_from(_WORDS.split()) | st.text(max_size=8), max_size=9), st.none() | st.just("/farm")
)
def test_no_command_line_raises(argv: list[str], cwd: str | None) -> None:
    found = recognise(argv, cwd)
    if found:
        for directory in (found[1].tmp, found[1].tmp2, found[1].dst):
            assert directory is None or directory.startswith("/")


@pytest.mark.parametrize(
    ("line", "uses"),
    [
        ("cuda_plot_k32 -t /t/ -d /d/", True),
        ("bladebit_cuda -f f cudaplot /d", True),
        ("bladebit_cuda -f f cudaplot --disk-128 -t1 /t /d", True),
        ("xchplot2 plot -o /d", True),
        ("bladebit -f f ramplot /d", False),
        ("chia_plot -t /t/ -d /d/", False),
        ("chia plots create -t /t -d /d", False),
    ],
)
def test_which_plotters_use_a_gpu(line: str, uses: bool) -> None:
    found = recognise(line.split(), "/")
    assert found is not None
    assert found[0].uses_gpu(found[1].mode) is uses
