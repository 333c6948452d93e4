"""Completion in the shell."""

from __future__ import annotations

import json
import logging
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.shell_completion import CompletionItem
from click.testing import CliRunner

from common.errors import BrokerError
from common.model.snapshot import FinishedPlot, Job, PlotState
from common.names import Role
from plotman.cli import _MODULE_OF, _SECTIONS, cli, completion
from plotman.control import farm as control
from tests.support.told import PLOT_ID, T, farm, plotter


@pytest.fixture(autouse=True)
def loud_again() -> Iterator[None]:
    """Completion silences the log of its process, which other tests share here."""
    yield
    logging.disable(logging.NOTSET)


def completed(*words: str, config: Path) -> subprocess.CompletedProcess[str]:
    """What bash is offered for the last word."""
    line = " ".join(("plotman", *words))
    environment = os.environ | {"_PLOTMAN_COMPLETE": "bash_complete", "COMP_WORDS": line,
                                "COMP_CWORD": str(len(words)), "PLOTMAN_CONFIG": str(config)}  # fmt: skip
    command = [sys.executable, "-c", "from plotman.cli import main; main()"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_classes_of_old_plots_are_completed_one_after_the_other(tmp_path: Path) -> None:
    config = tmp_path / "plotman.yaml"
    classes = "{og: {k: 32}, other: {k: 33}}"
    config.write_text(
        f"version: [2]\nfarm: {{host: desk}}\nreplot: {{classes: {classes}}}\n", encoding="utf-8"
    )
    shown = completed("replot", "plan", "--classes", "o", config=config)
    assert (shown.stdout.split(), shown.stderr) == (["plain,og", "plain,other"], "")
    shown = completed("replot", "plan", "--classes", "og,ot", config=config)
    assert shown.stdout.split() == ["plain,og,other"]
    shown = completed("replot", "start", "--class", "o", config=config)
    assert shown.stdout.split() == ["plain,og", "plain,other"]
    config.write_text("version: [2]\nreplot: {classes: 5}\n", encoding="utf-8")
    shown = completed("replot", "plan", "--classes", "o", config=config)
    assert (shown.returncode, shown.stdout.strip(), shown.stderr) == (0, "", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell_calls_plotman_itself(shell: str) -> None:
    shown = CliRunner().invoke(cli, ["completion", shell])
    assert shown.exit_code == 0
    assert f"_PLOTMAN_COMPLETE={shell}_complete" in shown.output


def test_verbs_are_completed_and_without_a_broker_plots_are_not_and_nothing_is_said(tmp_path: Path) -> None:
    config = tmp_path / "plotman.yaml"
    verbs = completed("su", config=config)
    assert verbs.stdout == "plain,suspend\n"
    away = f"farm: {{state: {tmp_path}, broker: 'redis://127.0.0.1:1'}}"
    config.write_text(f"version: [2]\n{away}\nharvester: {{drives: [/x/*]}}\n", encoding="utf-8")
    for words in (("kill", ""), ("status", "--host", "")):
        plots = completed(*words, config=config)
        assert (plots.returncode, plots.stdout.strip(), plots.stderr) == (0, "", "")


def test_plots_and_hosts_come_from_the_notice_board(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "quick_board", lambda _patience_s: None)
    monkeypatch.setattr(control, "read_farm", lambda _board: farm(plotter()))
    ctx = click.Context(cli)
    ctx.params = {"host": None}
    offered = [item.value for item in completion.complete_plot(ctx, ctx.command, "")]  # type: ignore[arg-type]
    assert offered == [PLOT_ID[:8], "all"]
    assert [item.value for item in completion.complete_host(ctx, ctx.command, "pl")] == ["plotter1"]  # type: ignore[arg-type]

    def away(_patience_s: float) -> None:
        raise BrokerError("away")

    monkeypatch.setattr(control, "quick_board", away)
    assert completion.complete_plot(ctx, ctx.command, "") == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "offered"),  # as bash parts them
    [
        (("plotman", "drain", "box1", ":", "/t"), ["/tmp/00"]),
        (("plotman", "drain", "box1", ":"), ["/tmp/00"]),
        (("plotman", "drain", "box2", ":", "/x", "b"), ["box1:/tmp/00"]),
    ],
)
def test_bash_completes_a_directory_behind_its_host(
    tmp_path: Path, words: tuple[str, ...], offered: list[str]
) -> None:
    script = CliRunner().invoke(cli, ["completion", "bash"]).output
    fake = tmp_path / "plotman"
    fake.write_text(
        "#!/bin/bash\nwords=($COMP_WORDS)\n"
        '[[ box1:/tmp/00 == "${words[COMP_CWORD]}"* ]] && echo plain,box1:/tmp/00\n',
        encoding="utf-8",
    )
    fake.chmod(0o755)
    program = f"""{script}
COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}
_plotman_completion {fake}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == offered, done.stderr


def test_what_why_resend_and_bandwidth_take_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "quick_board", lambda _patience_s: None)
    refused = FinishedPlot(
        path="/mnt/dst/00/a.plot", size_bytes=1, state=PlotState.REFUSED, since=T, plot_id="7" * 64
    )
    monkeypatch.setattr(control, "read_farm", lambda _board: farm(plotter(plots=(refused,))))
    ctx = click.Context(cli)

    def values(complete: Callable[..., list[CompletionItem]], typed: str = "") -> list[str]:
        return [item.value for item in complete(ctx, ctx.command, typed)]

    assert {"plotter1", PLOT_ID[:8], "77777777", "/mnt/tmp/00"} <= set(values(completion.complete_subject))
    assert values(completion.complete_resend) == ["77777777"]
    assert values(completion.complete_rate, "d") == ["default"]


def test_to_be_forgotten_only_hosts_are_offered_of_which_no_role_is_alive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(control, "quick_board", lambda _patience_s: None)
    # plotter1 has an archiver, which is alive.
    silent = frozenset({(Role.PLOTTER, "plotter1"), (Role.HARVESTER, "harvester1")})
    monkeypatch.setattr(control, "read_farm", lambda _board: farm(plotter(), stale=silent))
    ctx = click.Context(cli)
    offered = completion.complete_silent_host(ctx, ctx.command, "")  # type: ignore[arg-type]
    assert [item.value for item in offered] == ["harvester1"]
    assert completion.complete_silent_host(ctx, ctx.command, "pl") == []  # type: ignore[arg-type]


def test_every_verb_is_listed_once_under_a_section() -> None:
    listed = [verb for _, verbs in _SECTIONS.values() for verb in verbs]
    assert sorted(listed) == sorted(_MODULE_OF)
    shown = CliRunner().invoke(cli, ["--help"]).output
    assert all(f"\n  {verb} " in shown for verb in listed)
    assert all(len(line) <= 80 for line in shown.splitlines())


@pytest.mark.parametrize("word", ["/a/$(id)", "/a`id`", "/a;id", "/a b", "-rf", "~root", "/a\nb"])
def test_a_word_that_means_more_to_a_shell_is_not_offered(word: str) -> None:
    """bash inserts what is offered without quotes; it comes from the snapshots of other machines."""
    assert [item.value for item in completion._starting("", [word, "/mnt/good"])] == ["/mnt/good"]


def test_a_plot_id_that_means_more_to_a_shell_is_none() -> None:
    (job,) = plotter().jobs[:1]
    forged = job.model_dump(mode="json") | {"plot_id": "3`id>p`"}
    assert Job.model_validate_json(json.dumps(forged)).plot_id is None
