"""`plotman config`: where the configuration is, a sample of it, what is wrong with it, its predecessors'."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import NoReturn

import click

from common.errors import ExitCode, PlotmanError
from common.model.units import counted

# common.config comes late in each command: pydantic takes a while, and `--help` need not wait for it.

_FILE = click.argument("file", required=False, type=click.Path(path_type=Path))


@click.group()
def config() -> None:
    """Write, check and migrate plotman.yaml."""


@config.command()
def path() -> None:
    """Print where plotman.yaml is looked for: $PLOTMAN_CONFIG, or else in your configuration folder."""
    from common.config import default_path

    click.echo(default_path())


@config.command()
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write it to this file."
)
@click.option("--force", is_flag=True, help="Overwrite the file.")
def generate(output: Path | None, force: bool) -> None:
    """Print a plotman.yaml with every key and what it means, ready to be filled in."""
    from common.config.migration import write
    from common.config.sample import sample

    if output is None:
        click.echo(sample(), nl=False)
        return
    try:
        write(output, sample(), overwrite=force)
    except PlotmanError as error:
        cure = " Or overwrite it with --force." if output.exists() else ""
        _fail(f"{error}{cure}", error.exit_code)
    click.echo(f"Wrote {output}. Fill it in, then: plotman config check {output}", err=True)


@config.command()
@_FILE
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects.")
@click.option("--file-only", is_flag=True, help="Don't look at this machine's folders and programs.")
def check(file: Path | None, as_json: bool, file_only: bool) -> None:
    """Tell all that is wrong with FILE (plotman.yaml), and what this machine lacks of it.

    One line each: FILE:LINE: key: what is wrong. What to do. Exit status 3 if any is an error; 0 if all
    are warnings.
    """
    from common.config import default_path
    from common.config.environment import find_problems as find_lacks
    from common.config.loader import read
    from common.config.problems import Level

    checked = file or default_path()
    reading = read(checked)
    problems = list(reading.problems)
    if not file_only:
        problems += find_lacks(checked, reading)
    problems.sort(key=lambda problem: problem.line or 0)
    if as_json:
        click.echo(json.dumps([problem.as_json() for problem in problems], indent=2))
    else:
        for problem in problems:
            click.echo(str(problem))
    errors = sum(problem.level is Level.ERROR for problem in problems)
    counts = f"{counted(errors, 'error')}, {counted(len(problems) - errors, 'warning')}"
    click.echo(f"{checked}: {counts if problems else 'all is well'}.", err=True)
    sys.exit(ExitCode.CONFIG if errors else ExitCode.OK)


@config.command()
@_FILE
def migrate(file: Path | None) -> None:
    """Write FILE (plotman.yaml) of plotman 0.3 or 0.4 anew, beside the old one, as plotman.v2.yaml."""
    from common.config import default_path
    from common.config.migration import migrate as write_anew

    old = file or default_path()
    try:
        done = write_anew(old)
    except PlotmanError as error:
        _fail(str(error), error.exit_code)
    if done is None:
        click.echo(f"{old} is not of plotman 0.3 or 0.4: there is nothing to do.", err=True)
        return
    for change in done.changes:
        click.echo(f"{'.'.join(map(str, change.location))} {change.what}.")
    for problem in done.left:
        click.echo(str(problem))
    click.echo(f"Wrote {done.written}; {old} is as it was, and has your comments.", err=True)
    click.echo(
        f"When it is right (plotman config check {done.written}), put it in the old one's place.", err=True
    )


def _fail(text: str, code: int) -> NoReturn:
    click.echo(text, err=True)
    sys.exit(code)
