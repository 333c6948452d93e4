"""`plotman config`: path, sample, check and migration of plotman.yaml."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import NoReturn

import click

from common.errors import ExitCode, PlotmanError
from common.model.units import counted

# Each command imports common.config late: pydantic is slow to import, and `--help` does not need it.

_FILE = click.argument("file", required=False, type=click.Path(path_type=Path))


@click.group()
def config() -> None:
    """Write, check and migrate plotman.yaml."""


@config.command()
def path() -> None:
    """Print where plotman.yaml is expected: $PLOTMAN_CONFIG, or else in your configuration folder."""
    from common.config import default_path

    click.echo(default_path())


@config.command()
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write it to this file."
)
@click.option("--force", is_flag=True, help="Overwrite the file.")
@click.option("--type", "plotter", default="chia", show_default=True, help="Plotter that makes the plots.")
@click.option("--full", is_flag=True, help="Every key, of every plotter.")
def generate(output: Path | None, force: bool, plotter: str, full: bool) -> None:
    """Print a sample plotman.yaml with its keys and their descriptions, to be filled in."""
    from common.config.migration import write
    from common.config.sample import sample

    try:
        text = sample(plotter, full=full)
        if output is None:
            click.echo(text, nl=False)
            return
        write(output, text, overwrite=force)
    except PlotmanError as error:
        remedy = " Or overwrite it with --force." if output and output.exists() else ""
        _fail(f"{error}{remedy}", error.exit_code)
    click.echo(f"Wrote {output}. Fill it in, then: plotman config check {output}", err=True)


@config.command()
@_FILE
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects.")
@click.option("--file-only", is_flag=True, help="Do not check this machine's folders and programs.")
def check(file: Path | None, as_json: bool, file_only: bool) -> None:
    """List all mistakes in FILE (plotman.yaml), and folders and programs that this machine lacks.

    One line each: FILE:LINE: key: what is wrong. What to do. Exit status 3 if any is an error; 0 if all
    are warnings.
    """
    from common.config import default_path
    from common.config.check.environment import find_problems as find_lacks
    from common.config.loader import read
    from common.config.problems import Level

    path = file or default_path()
    reading = read(path)
    problems = list(reading.problems)
    if not file_only:
        problems += find_lacks(path, reading)
    problems.sort(key=lambda problem: problem.line or 0)
    if as_json:
        click.echo(json.dumps([problem.as_json() for problem in problems], indent=2))
    else:
        for problem in problems:
            click.echo(str(problem))
    errors = sum(problem.level is Level.ERROR for problem in problems)
    counts = f"{counted(errors, 'error')}, {counted(len(problems) - errors, 'warning')}"
    click.echo(f"{path}: {counts if problems else 'no problems'}.", err=True)
    sys.exit(ExitCode.CONFIG if errors else ExitCode.OK)


@config.command()
@_FILE
def migrate(file: Path | None) -> None:
    """Convert FILE (plotman.yaml) of plotman 0.3 or 0.4; the new file is NAME.v2.yaml beside NAME.yaml."""
    from common.config import default_path
    from common.config.migration import migrate as convert

    old = file or default_path()
    try:
        done = convert(old)
    except PlotmanError as error:
        _fail(str(error), error.exit_code)
    if done is None:
        click.echo(f"{old} is not of plotman 0.3 or 0.4: there is nothing to do.", err=True)
        return
    for change in done.changes:
        click.echo(f"{'.'.join(map(str, change.location))} {change.what}.")
    for problem in done.left:
        click.echo(str(problem))
    click.echo(f"Wrote {done.written}; {old} is unchanged, and has your comments.", err=True)
    click.echo(
        f"When it is right (plotman config check {done.written}), replace the old one with it.", err=True
    )


def _fail(text: str, code: int) -> NoReturn:
    click.echo(text, err=True)
    sys.exit(code)
