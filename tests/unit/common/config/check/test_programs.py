"""Programs: found, runnable, new enough. The fake ones answer as the real ones do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from common.config.check.programs import Program, trouble, wanted
from common.config.model import Config
from tests.support.sections import PLOTTER

KEYS = {"farmer_pk": "f", "pool_pk": "p"}


@pytest.fixture
def answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a program on the PATH that runs a line of shell."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def put(name: str, line: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)

    return put


def program(executable: str, least: tuple[int, ...] | None = (3, 2)) -> Program:
    return Program(("key",), executable, ("--version",), least, "it is too slow", "Install it.")


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("echo 3.2", None),
        ("echo 'rsync  version 3.5.0  protocol version 32'", None),
        ("echo 'v3.10.1-dev'", None),
        ("echo 3.11.0b2", None),
        ("echo 3.1.9", "is version 3.1.9, and it is too slow"),
        ("echo 'rsync  version 2.6.9  protocol version 29'", "is version 2.6.9, and it is too slow"),
        ("echo unknown", "prints no version"),
        ("echo No such option 1>&2; exit 2", "fails to print its version (exit status 2)"),
        ("sleep 60", "did not print its version within 0.5 s"),
    ],
)
def test_a_program_is_asked_for_its_version(answer: Any, line: str, what: str | None) -> None:
    answer("prog", line)
    found = trouble(program("prog"), deadline_s=0.5 if "sleep" in line else 20)
    if what is None:
        assert found is None
    else:
        assert found is not None and what in found.what


def test_where_any_version_will_do_only_running_counts(answer: Any) -> None:
    answer("prog", "echo usage")
    assert trouble(program("prog", least=None)) is None


def test_a_chia_that_was_never_initialised_is_told(answer: Any) -> None:
    asked = 'test "$1" = version && echo 2.7.5 && exit'
    answer("chia", f"{asked}; echo \"RuntimeError: Please initialize ... with 'chia init'\" 1>&2; exit 1")
    (chia,) = wanted(Config.model_validate({**PLOTTER, "plotting": {"type": "chia"}}))
    found = trouble(chia)
    assert found and "no settings" in found.what
    assert found.cure == "Run once, as the user who runs plotman: chia init"
    # Where the folder for its settings is there, with nothing in it.
    help_ = 'test "$3" = --help && echo Usage: && exit'
    answer(
        "chia", f"{asked}; {help_}; echo '** please run `chia init` to migrate or create ... **'; exit 255"
    )
    found = trouble(chia)
    assert found and "no settings" in found.what
    answer("chia", f"{asked}; echo Directories where plots are being searched for:")
    assert trouble(chia) is None


GIGAHORSE = "  -C, --level arg     Compression level (default = 1, min = 1, max = 40)"


@pytest.mark.parametrize(
    ("compression", "more", "refused"),
    [(7, "", True), (0, "", False), (7, GIGAHORSE, False)],
)
def test_a_madmax_without_compression_is_told_where_compression_is_asked_for(
    answer: Any, compression: int, more: str, refused: bool
) -> None:
    options = f"  -k, --size arg    K size\n  -t, --tmpdir arg\n  -c, --contract arg\n{more}"
    answer("chia_plot", f'test "$1" = --version && echo 1.1.8 && exit\ncat <<END\n{options}\nEND')
    plotting = {"type": "madmax", **KEYS, "madmax": {"compression": compression}}
    (madmax,) = wanted(Config.model_validate({**PLOTTER, "plotting": plotting}))
    found = trouble(madmax)
    if refused:
        assert found and found.location == ("plotting", "madmax", "compression")
        assert "has no option -C" in found.what and found.cure.startswith("Write compression: 0, or name")
    else:
        assert found is None


def test_a_madmax_that_gives_no_help_is_not_judged_by_it(answer: Any) -> None:
    answer("chia_plot", "echo 1.1.8")
    plotting = {"type": "madmax", **KEYS, "madmax": {"compression": 7}}
    (madmax,) = wanted(Config.model_validate({**PLOTTER, "plotting": plotting}))
    assert trouble(madmax) is None


@pytest.mark.parametrize(
    ("executable", "what"),
    [
        ("not-there", "there is no program not-there on the PATH"),
        ("/nowhere/chia", "there is no program /nowhere/chia"),
        ("{tmp}", "{tmp} is a folder"),
        ("{tmp}/plain", "{tmp}/plain is not executable"),
        ("{tmp}/broken", "{tmp}/broken does not run (No such file or directory)"),
        ("{tmp}/foreign", "{tmp}/foreign does not run (Exec format error)"),
    ],
)
def test_a_program_that_does_not_run_is_told_with_the_reason(
    tmp_path: Path, executable: str, what: str
) -> None:
    (tmp_path / "plain").write_text("#!/bin/sh\n")
    (tmp_path / "broken").write_text("#!/no/such/interpreter\n")
    (tmp_path / "broken").chmod(0o755)
    (tmp_path / "foreign").write_bytes(b"\x7fELF of another machine")
    (tmp_path / "foreign").chmod(0o755)
    found = trouble(program(executable.format(tmp=tmp_path)))
    assert found and found.what == what.format(tmp=tmp_path) and found.cure


@pytest.mark.parametrize(
    ("plotting", "key", "command", "least"),
    [
        ({"type": "chia"}, "chia.executable", "chia version", (1, 2)),
        ({"type": "chiapos", "chiapos": {"executable": "/opt/chia"}},
         "chiapos.executable", "/opt/chia version", (1, 3)),
        ({"type": "madmax", **KEYS}, "madmax.executable", "chia_plot --version", None),
        ({"type": "madmax", **KEYS, "madmax": {"k": 33}},
         "madmax.executable_k34", "chia_plot_k34 --version", None),
        ({"type": "madmax", **KEYS, "madmax": {"k": 33, "mode": "gpuplot"}},
         "madmax.executable_gpu", "cuda_plot_k33 --help", None),
        ({"type": "bladebit", **KEYS}, "bladebit.executable", "bladebit --version", (1, 1)),
        ({"type": "bladebit", **KEYS, "bladebit": {"mode": "diskplot"}},
         "bladebit.executable", "bladebit --version", (2,)),
        ({"type": "bladebit", **KEYS, "bladebit": {"mode": "cudaplot"}},
         "bladebit.executable_cuda", "bladebit_cuda --version", (3,)),
        ({"type": "xchplot2", **KEYS}, "xchplot2.executable", "xchplot2 --help", None),
    ],
)  # fmt: skip
def test_of_the_plotters_only_the_chosen_one_is_wanted(
    plotting: dict[str, Any], key: str, command: str, least: tuple[int, ...] | None
) -> None:
    (found,) = wanted(Config.model_validate({**PLOTTER, "plotting": plotting}))
    assert ".".join(map(str, found.location)) == f"plotting.{key}"
    assert (" ".join((found.executable, *(found.arguments or ()))), found.least) == (command, least)


@pytest.mark.parametrize(
    ("archiving", "executable", "least"),
    [
        ({"target": "harvester"}, "rsync", (3, 2)),
        ({"target": "local_rsync", "env": {"site_root": "/s"}}, "rsync", (3, 2)),
        (
            {"target": "local_rsync", "env": {"site_root": "/s", "command": "/opt/rsync"}},
            "/opt/rsync",
            (3, 2),
        ),
        ({"target": "local_rsync", "env": {"site_root": "/s", "command": "cp"}}, "cp", None),
    ],
)
def test_who_moves_plots_wants_rsync(
    archiving: dict[str, Any], executable: str, least: tuple[int, ...] | None
) -> None:
    config = Config.model_validate({**PLOTTER, "plotting": {"type": "chia"}, "archiving": archiving})
    assert [(one.executable, one.least) for one in wanted(config)][1:] == [(executable, least)]


def test_a_harvester_wants_rsync_alone() -> None:
    config = Config.model_validate({"version": [2], "farm": {}, "harvester": {"drives": ["/d"]}})
    assert [one.executable for one in wanted(config)] == ["rsync"]


def test_a_plotter_that_is_asked_is_no_plot_to_the_plotter_worker(answer: Any) -> None:
    answer("chia", 'test "$PLOTMAN_STATE" = /dev/null && echo 2.7.5')
    (chia,) = wanted(Config.model_validate({**PLOTTER, "plotting": {"type": "chia"}}))
    assert trouble(chia) is None
