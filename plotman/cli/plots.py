"""`plotman details`, `files`, `suspend`, `resume` and `kill`: verbs over plots in the making."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from plotman.cli.candidates import complete_host, complete_plot
from plotman.cli.confirm import must_agree

if TYPE_CHECKING:
    from plotman.control.actions.plots import PlotAnswer
    from plotman.control.selectors import PlotSelection

_PLOTS = click.argument("plots", nargs=-1, required=True, metavar="PLOT...", shell_complete=complete_plot)
_HOST = click.option("--host", help="Only on this plotter.", shell_complete=complete_host)
_TMP = click.option("--tmp", metavar="DIR", help="Only in this tmp directory.")
_JSON = click.option("--json", "json_", is_flag=True, help="Print JSON, for programs.")
_SHOWN_FILES = 12

Verb = Callable[..., None]


def _options(verb: Verb) -> Verb:
    for option in (_JSON, _TMP, _HOST, _PLOTS):
        verb = option(verb)
    return verb


def _targets(plots: Sequence[str], host: str | None, tmp: str | None) -> list[PlotSelection]:
    """The plots meant. Says which hosts cannot be asked where all are meant."""
    from common.model.selectors import EVERY
    from plotman.control.farm import board, look
    from plotman.control.selectors import resolve, silent_hosts

    farm = look(board())
    if EVERY in plots and host is None:
        for name in sorted(silent_hosts(farm)):
            click.echo(f"plotman: {name} is silent and left out. Start `plotman up` there.", err=True)
    return resolve(farm, plots, host, tmp)


def _show(answers: list[PlotAnswer], json_: bool, show: Callable[[PlotAnswer, dict[str, Any]], None]) -> None:
    """Print each answer as it stands, or tell on stderr why there is none; then exit as the first of these
    says."""
    from common.errors import PlotmanError
    from plotman.cli.draw import as_json

    if json_:
        as_json({"version": 1, "plots": [answer.as_json() for answer in answers]})
    failed = [answer for answer in answers if isinstance(answer.said, PlotmanError)]
    for answer in answers:
        if isinstance(answer.said, PlotmanError):
            click.echo(f"plotman: {answer.target}: {answer.said}", err=True)
        elif not json_:
            show(answer, answer.said)
    if failed:
        assert isinstance(failed[0].said, PlotmanError)
        sys.exit(failed[0].said.exit_code)


@click.command()
@_options
def details(plots: tuple[str, ...], host: str | None, tmp: str | None, json_: bool) -> None:
    """Show all that is known of a plot in the making.

    PLOT is the start of its id, HOST:PID, or `all`.
    """
    from plotman.control.actions import plots as control
    from plotman.control.queries.plot_lines import details_lines

    def show(_: PlotAnswer, said: dict[str, Any]) -> None:
        click.echo("\n".join(details_lines(said)) + "\n")

    _show(control.details(_targets(plots, host, tmp)), json_, show)


@click.command()
@_options
def files(plots: tuple[str, ...], host: str | None, tmp: str | None, json_: bool) -> None:
    """List the unfinished files of a plot in the making: those that `kill` would delete.

    PLOT is the start of its id, HOST:PID, or `all`.
    """
    from plotman.control.actions import plots as control
    from plotman.control.queries.plot_lines import files_lines, files_sum

    def show(answer: PlotAnswer, said: dict[str, Any]) -> None:
        for line in files_lines(said):
            click.echo(line)
        click.echo(f"{answer.target}: {files_sum(said)}", err=True)
        for trouble in said["troubles"]:
            click.echo(f"plotman: {trouble}", err=True)

    _show(control.files(_targets(plots, host, tmp)), json_, show)


@click.command()
@_options
def suspend(plots: tuple[str, ...], host: str | None, tmp: str | None, json_: bool) -> None:
    """Stop a plot where it is, until `plotman resume`. It keeps its memory and its files.

    PLOT is the start of its id, HOST:PID, or `all`.
    """
    from plotman.control.actions import plots as control

    def show(answer: PlotAnswer, _: dict[str, Any]) -> None:
        click.echo(f"{answer.target} is suspended")

    _show(control.suspend(_targets(plots, host, tmp)), json_, show)


@click.command()
@_options
def resume(plots: tuple[str, ...], host: str | None, tmp: str | None, json_: bool) -> None:
    """Let a suspended plot go on.

    PLOT is the start of its id, HOST:PID, or `all`.
    """
    from plotman.control.actions import plots as control

    def show(answer: PlotAnswer, _: dict[str, Any]) -> None:
        click.echo(f"{answer.target} goes on")

    _show(control.resume(_targets(plots, host, tmp)), json_, show)


@click.command()
@_options
@click.option("-f", "--force", "--yes", "-y", "force", is_flag=True, help="Don't ask.")
def kill(plots: tuple[str, ...], host: str | None, tmp: str | None, json_: bool, force: bool) -> None:
    """Stop a plot for good and delete its unfinished files, after showing them and asking.

    PLOT is the start of its id, HOST:PID, or `all`. Plots that were started by hand or by another manager go
    the same way. Until you answer, the plots go on as they were.
    """
    from plotman.control.actions import plots as control
    from plotman.control.queries.plot_lines import killed_lines

    targets = _targets(plots, host, tmp)
    if not force:
        targets = _agreed(control.files(targets))

    def show(answer: PlotAnswer, said: dict[str, Any]) -> None:
        for line in killed_lines(str(answer.target), said):
            click.echo(line)

    _show(control.kill(targets), json_, show)


def _agreed(listings: list[PlotAnswer]) -> list[PlotSelection]:
    """Show what is at stake and ask. Those whose host does not answer are told and left alone; exits where
    the person says no, or nobody is there to ask."""
    from common.errors import ExitCode, PlotmanError
    from plotman.control.queries.plot_lines import doomed_lines

    asked = []
    for answer in listings:
        if isinstance(answer.said, PlotmanError):
            click.echo(f"plotman: {answer.target}: {answer.said}", err=True)
            continue
        asked.append(answer.target)
        click.echo("\n".join(doomed_lines(answer.target, answer.said, _SHOWN_FILES)), err=True)
    if not asked:
        sys.exit(ExitCode.UNREACHABLE)
    many = "this plot" if len(asked) == 1 else f"these {len(asked)} plots"
    must_agree(f"Kill {many} and delete the files?", "With --force the plots are killed without asking.")
    return asked
