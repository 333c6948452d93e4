"""Asking the person before something is done, and what hosts answered to a word that was for several."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from plotman.control.actions.holds import HoldAnswers

JSON = click.option("--json", "json_", is_flag=True, help="Print JSON, for programs.")


def must_agree(question: str, otherwise: str) -> None:
    """Ask; exits where the answer is no. otherwise: what is done unasked, and by which option. Raises
    click.UsageError where nobody is there to be asked."""
    from common.errors import ExitCode

    if not sys.stdin.isatty():
        raise click.UsageError(f"Nobody is there to be asked. {otherwise}")
    if not click.confirm(question, err=True):
        click.echo("Nothing was done.", err=True)
        sys.exit(ExitCode.FAILED)


def show(said: Sequence[HoldAnswers], json_: bool) -> None:
    """Print what was answered; tell on stderr who did not, and exit as that says."""
    from common.errors import PlotmanError

    failed = []
    for one in said:
        if isinstance(one.answer, PlotmanError):
            failed.append(one.answer)
            click.echo(f"plotman: {one.host}: {one.answer}", err=True)
        elif not json_:
            click.echo(one.answer)
    if json_:
        _show_json(said)
    if failed:
        sys.exit(failed[0].exit_code)


def _show_json(said: Sequence[HoldAnswers]) -> None:
    from plotman.cli.draw import as_json

    answers = [
        {
            "host": one.host,
            "answer": one.answer if isinstance(one.answer, str) else None,
            "error": None if isinstance(one.answer, str) else str(one.answer),
            **one.more,
        }
        for one in said
    ]
    as_json({"version": 1, "answers": answers})
