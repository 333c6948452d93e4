"""The `plotman` command. A verb parses, asks `plotman.control`, and prints; results go to stdout, talk
about them to stderr."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from common.errors import PlotmanError

# Verb -> module that holds the command of that name. Loaded when used: Celery and pydantic take longer
# to import than `--help` should.
_VERBS = {
    "analyze": "plotman.cli.history",
    "bandwidth": "plotman.cli.moves",
    "config": "plotman.cli.config",
    "dirs": "plotman.cli.dirs",
    "export": "plotman.cli.history",
    "farm": "plotman.cli.farm",
    "history": "plotman.cli.history",
    "pause": "plotman.cli.steer",
    "resend": "plotman.cli.moves",
    "status": "plotman.cli.status",
    "unpause": "plotman.cli.steer",
    "up": "plotman.cli.up",
    "version": "plotman.cli.version",
}


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _VERBS:
            return None
        command: Any = getattr(importlib.import_module(_VERBS[cmd_name]), cmd_name)
        return command  # type: ignore[no-any-return]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], _VERBS, 1)
            hint = f" Did you mean `{near[0]}`?" if near else ""
            raise click.UsageError(error.message + hint, ctx) from error


@click.command(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Make and move Chia plots across a farm of machines.

    `plotman up` runs all that this machine's plotman.yaml asks for; the other verbs look at the farm and
    steer it, from any machine of it.
    """


def main() -> None:
    """Entry point: what went wrong is one line on stderr and an exit code, never a traceback."""
    try:
        cli()
    except PlotmanError as error:
        click.echo(f"plotman: {error}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # `plotman status | head`
        sys.stderr.close()
        sys.exit(0)
