"""The command line: a verb parses, calls control, prints results to stdout and remarks to stderr."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from contextlib import suppress
from pathlib import Path

import click

from common.errors import ConfigError, ExitCode, PlotmanError

# A verb's imports create no garbage; collecting it every 700 objects takes a twentieth of the verb's time.
_GC_THRESHOLD = 10_000

# Section of `plotman --help` -> the module here that holds its verbs, and a line for each verb. A command is
# loaded when it is used: Celery and pydantic take longer to import than `--help` should.
_SECTIONS: dict[str, tuple[str | None, dict[str, str]]] = {
    "Run": ("run", {
        "up": "Run all roles that plotman.yaml names on this machine.",
        "plot": "Only make plots here.",
        "archive": "Only send finished plots, and receive plots.",
    }),
    "Watch": ("watch", {
        "status": "Running plots, transfers, and what waits.",
        "dirs": "Directories and drives: free space, state, incoming plots.",
        "dsched": "Where the running plots go, and the next ones.",
        "why": "Why no plot starts or moves now, and what to do.",
        "interactive": "The farm live, controlled by keys and mouse.",
    }),
    "One plot": ("plots", {
        "start": "Start one now.",
        "details": "All known facts.",
        "files": "Its unfinished files.",
        "logs": "Its log, live with -f.",
        "suspend": "Suspend it.",
        "resume": "Continue it.",
        "kill": "End it, and delete its unfinished files.",
    }),
    "Control": ("control", {
        "pause": "Start no more plots or transfers.",
        "unpause": "Start them again.",
        "drain": "Send no more plots to a host, directory or drive.",
        "undrain": "Allow plots there again.",
        "evacuate": "Move all plots of a drive to other drives.",
        "bandwidth": "Limit what plotters send to other machines.",
        "resend": "Send a plot again that a harvester refused or lost.",
        "cleanup": "Find and delete what crashed plotters left.",
        "forget": "Remove a machine that is lost for good.",
    }),
    "Records": ("records", {
        "history": "Plots that were made and moved.",
        "analyze": "How long they took.",
        "export": "The same as CSV or JSON lines.",
        "prometheus": "Metrics of the farm.",
    }),
    "Drives": (None, {  # each in a module of its own name
        "inventory": "What lies on them: plots by class, drive, pool or month.",
        "replot": "Replace old plots by new ones: the plan, and its orders.",
    }),
    "Set up": (None, {  # each in a module of its own name
        "config": "Write, check and migrate plotman.yaml.",
        "farm": "Passwords, rights and certificates of several machines.",
        "notify": "Send notifications of events.",
        "completion": "Completion of verbs, hosts and plot ids for your shell.",
        "version": "The version.",
    }),
}  # fmt: skip
_MODULE_OF = {verb: module or verb for module, verbs in _SECTIONS.values() for verb in verbs}


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(_MODULE_OF)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _MODULE_OF:
            return None
        module = importlib.import_module(f"plotman.cli.{_MODULE_OF[cmd_name]}")
        return getattr(module, cmd_name)  # type: ignore[no-any-return]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        longest = max(map(len, _MODULE_OF))  # one column for all sections
        for section, (_, verbs) in _SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(verb.ljust(longest), text) for verb, text in verbs.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], _MODULE_OF, 1)
            hint = f" Did you mean `{near[0]}`?" if near else ""
            raise click.UsageError(error.message + hint, ctx) from error


@click.command(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(
    package_name="plotman", message="%(package)s %(version)s", help="Print the version and exit."
)
def cli() -> None:
    """Make and move Chia plots across a farm of machines.

    `plotman up` runs all roles that plotman.yaml names on this machine; the other verbs show and control the
    farm, from any of its machines.
    """


def _colors() -> bool:
    """Whether the user allows styled text: see https://no-color.org; a dumb terminal has none."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def main() -> None:
    """Run the command line. An error is one line on stderr and an exit code, never a traceback."""
    from common.system.output import clean_output

    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the shell: `plotman status >&-`
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    clean_output()
    gc.set_threshold(_GC_THRESHOLD)
    # pydantic would search all installed packages for plugins; plotman uses none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        cli(prog_name="plotman", color=None if _colors() else False)
    except PlotmanError as error:
        from common.model.text import one_line

        first, *more = f"plotman: {error}".split("\n")
        # Another machine's line must not look like one of ours; a file's problems are a line each.
        indent = "" if isinstance(error, ConfigError) else "  "
        for line in (first, *(indent + line.strip() if indent else line for line in more)):
            click.echo(one_line(line), err=True)
        sys.exit(error.exit_code)
    except OSError as error:  # such as a full disk or a read-only folder; click handles `| head`
        with suppress(OSError):
            sys.stdout.close()  # else Python writes the rest again at exit
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"plotman: {where}{error.strerror or error}.", err=True)
        sys.exit(ExitCode.FAILED)
    finally:
        gc.freeze()  # no garbage collection at exit
