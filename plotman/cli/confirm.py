"""Ask the operator for confirmation, and print the answers of several hosts."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from plotman.control.actions.holds import HoldAnswers

JSON = click.option("--json", "json_", is_flag=True, help="Print JSON, for programs.")


def must_agree(question: str, otherwise: str) -> None:
    """Ask a question, and exit if the answer is no. Raises click.UsageError without a terminal.

    otherwise: for that error: the option that confirms.
    """
    from common.errors import ExitCode

    if not sys.stdin.isatty():
        raise click.UsageError(f"There is no terminal to ask. {otherwise}")
    if not click.confirm(question, err=True):
        click.echo("Nothing was done.", err=True)
        sys.exit(ExitCode.FAILED)


def show(answers: Sequence[HoldAnswers], json_: bool) -> None:
    """Print the answers, and errors on stderr; exits with the code of the first error."""
    from common.errors import PlotmanError

    failed = []
    for one in answers:
        if isinstance(one.answer, PlotmanError):
            failed.append(one.answer)
            click.echo(f"plotman: {one.host}: {one.answer}", err=True)
        elif not json_:
            click.echo(one.answer)
    if json_:
        _show_json(answers)
    if failed:
        sys.exit(failed[0].exit_code)


def _show_json(answers: Sequence[HoldAnswers]) -> None:
    from plotman.cli.draw import as_json

    listed = [
        {
            "host": one.host,
            "answer": one.answer if isinstance(one.answer, str) else None,
            "error": None if isinstance(one.answer, str) else str(one.answer),
            **one.more,
        }
        for one in answers
    ]
    as_json({"version": 1, "answers": listed})
