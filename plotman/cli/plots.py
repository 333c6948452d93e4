"""`plotman details`, `files`, `logs`, `suspend`, `resume` and `kill`: verbs for single plots."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from common import names
from common.model.units import counted, human_bytes, human_bytes_alike, human_duration
from plotman.cli.completion import complete_host, complete_plot
from plotman.cli.console import JSON, must_agree, show_answers

if TYPE_CHECKING:
    from plotman.control.actions.plots import PlotAnswer
    from plotman.control.selectors import PlotSelection

_PLOTS = click.argument("plots", nargs=-1, required=True, metavar="PLOT...", shell_complete=complete_plot)
_HOST = click.option("--host", help="Only on this plotter.", shell_complete=complete_host)
_TMP = click.option("--tmp", metavar="DIR", help="Only in this tmp directory.")
_SHOWN_FILES = 12
_EVENTS_SEARCHED = 1000  # the newest ones

Verb = Callable[..., None]


def _options(verb: Verb) -> Verb:
    for option in (JSON, _TMP, _HOST, _PLOTS):
        verb = option(verb)
    return verb


def _targets(plots: Sequence[str], host: str | None, tmp: str | None) -> list[PlotSelection]:
    """Return the selected plots. With `all`, warns of silent hosts."""
    from common.errors import NoSuchPlot
    from common.model.plot_name import EVERY
    from plotman.control.farm import board
    from plotman.control.local import read_with_own
    from plotman.control.queries.event_text import ended
    from plotman.control.selectors import resolve, silent_hosts

    farm = read_with_own(board)
    if EVERY in plots and host is None:
        for name in sorted(silent_hosts(farm)):
            click.echo(f"plotman: {name} is silent and left out. Start `plotman up` there.", err=True)
    try:
        return resolve(farm, plots, host, tmp)
    except NoSuchPlot as error:
        if farm.not_running_here:
            raise
        ends = ended(plots, (event for _, event in board().newest_events(_EVENTS_SEARCHED)))
        raise NoSuchPlot(f"{error.what} {' '.join(ends)}", error.cure) if ends else error from None


def _order(
    task: str,
    targets: Sequence[PlotSelection],
    json_: bool,
    show: Callable[[PlotSelection, dict[str, Any]], None],
) -> None:
    """Call the task on the hosts of these plots, and print the answers. show: prints one answer."""
    from plotman.control.actions.plots import ask_about

    answers = ask_about(task, targets)
    document = {"version": 1, "plots": [answer.as_json() for answer in answers]} if json_ else None
    show_answers([(answer.target, answer.content) for answer in answers], document, show)


@click.command()
@click.option("--host", help="The plotter; else this machine, or the only one.", shell_complete=complete_host)
@click.option("--tmp", metavar="DIR", help="Where to make it, also if that directory is drained.")
@click.option("--dst", metavar="DIR", help="Where the finished plot goes.")
@JSON
def start(json_: bool, host: str | None, tmp: str | None, dst: str | None) -> None:
    """Start one plot now, whatever the stagger, a pause or a drain say.

    Directories that are not named are chosen by the plotter. The limits on jobs, free space and the state of
    the directories still hold.
    """
    from plotman.cli.console import as_json
    from plotman.control.actions.start import plotter_for, start_plot

    facts = start_plot(plotter_for(host), tmp, dst)
    if json_:
        as_json({"version": 1, **facts})
    elif "pid" in facts:
        click.echo(
            f"{facts['host']} makes a plot in {facts['tmp']}, for {facts['dst']} (pid {facts['pid']})."
        )
        click.echo(f"Its log: plotman logs -f {facts['host']}:{facts['pid']}", err=True)
    else:
        click.echo(f"{facts['host']}: {facts['path'] or facts['reason']}")


@click.command()
@_options
def details(json_: bool, **selection: Any) -> None:
    """Show all known facts about a running plot.

    PLOT is the start of its id, HOST:PID, or `all`.
    """

    def show(_: PlotSelection, facts: dict[str, Any]) -> None:
        click.echo("\n".join(details_lines(facts)) + "\n")

    _order(names.DETAILS, _targets(**selection), json_, show)


@click.command()
@_options
def files(json_: bool, **selection: Any) -> None:
    """List the unfinished files of a running plot: those that `kill` would delete.

    PLOT is the start of its id, HOST:PID, or `all`.
    """

    def show(target: PlotSelection, facts: dict[str, Any]) -> None:
        for line in file_lines(facts["files"]):
            click.echo(line)
        click.echo(f"{target}: {files_sum(facts)}", err=True)
        for trouble in facts["troubles"]:
            click.echo(f"plotman: {trouble}", err=True)

    _order(names.FILES, _targets(**selection), json_, show)


@click.command()
@click.argument("plot", shell_complete=complete_plot)
@click.option("-f", "--follow", is_flag=True, help="Follow the log until the plot ends.")
@click.option("-n", "--lines", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
@_HOST
@_TMP
def logs(plot: str, follow: bool, lines: int | None, host: str | None, tmp: str | None) -> None:
    """Print the log of a plot of any host.

    PLOT is the start of its id, or HOST:PID. Logs of ended plots are found until they are deleted.
    """
    from plotman.control.actions.plots import open_log, read_on
    from plotman.control.farm import board, read_farm

    log = open_log(read_farm(board()), plot, host, tmp, lines)
    try:
        for text in read_on(log, follow, lambda warning: click.echo(f"plotman: {warning}", err=True)):
            click.echo(text, nl=False)
            sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(130)  # 128 + SIGINT, as shells do


@click.command()
@_options
def suspend(json_: bool, **selection: Any) -> None:
    """Suspend a plot until `plotman resume`. It keeps its memory and its files.

    PLOT is the start of its id, HOST:PID, or `all`.
    """
    _order(
        names.SUSPEND, _targets(**selection), json_, lambda target, _: click.echo(f"{target} is suspended")
    )


@click.command()
@_options
def resume(json_: bool, **selection: Any) -> None:
    """Continue a suspended plot.

    PLOT is the start of its id, HOST:PID, or `all`.
    """

    def show(target: PlotSelection, answer: dict[str, Any]) -> None:
        click.echo(f"{target} {'continues' if answer.get('was_suspended', True) else 'was not suspended'}")

    _order(names.RESUME, _targets(**selection), json_, show)


@click.command()
@_options
@click.option("-f", "--force", "--yes", "-y", "force", is_flag=True, help="Do not ask.")
def kill(json_: bool, force: bool, **selection: Any) -> None:
    """End a plot and delete its unfinished files, after listing them and asking.

    PLOT is the start of its id, HOST:PID, or `all`. This also works for plots that were started by hand or by
    another manager. Until you answer, the plots continue.
    """
    from plotman.control.actions.plots import ask_about

    targets = _targets(**selection)
    if not force:
        targets = _agreed(ask_about(names.FILES, targets))

    def show(target: PlotSelection, facts: dict[str, Any]) -> None:
        for line in killed_lines(str(target), facts):
            click.echo(line)

    _order(names.KILL, targets, json_, show)


def _agreed(listings: list[PlotAnswer]) -> list[PlotSelection]:
    """List what would be deleted, and ask; returns the plots whose host answers. Exits on a no."""
    from common.errors import ExitCode, PlotmanError

    asked = []
    for answer in listings:
        if isinstance(answer.content, PlotmanError):
            click.echo(f"plotman: {answer.target}: {answer.content}", err=True)
            continue
        asked.append(answer.target)
        click.echo("\n".join(doomed_lines(answer.target, answer.content, _SHOWN_FILES)), err=True)
    if not asked:
        sys.exit(ExitCode.UNREACHABLE)
    many = "this plot" if len(asked) == 1 else f"these {len(asked)} plots"
    must_agree(f"Kill {many} and delete the files?", "With --force the plots are killed without asking.")
    return asked


def details_lines(facts: dict[str, Any]) -> list[str]:
    """Format each known fact in a line: its name, its value."""
    started = datetime.fromisoformat(facts["started_at"]).astimezone()
    tree = ", ".join(f"{one['pid']} {one['name']}" for one in facts["processes"])
    percent, eta_s = facts["percent"], facts["eta_s"]
    rows = {
        "plot id": facts["plot_id"],
        "host": facts["host"],
        "plotter": facts["plotter"],
        "k": facts["k"],
        "started by": "plotman" if facts["ours"] else "hand, or another manager",
        "started at": f"{started:%Y-%m-%d %H:%M:%S}",
        "phase": facts["phase"],
        "done": None if percent is None else f"{percent:.0f} %",
        "ETA": None if eta_s is None else human_duration(eta_s),
        "stalled": facts["stalled"] or "no",
        "tmp": facts["tmp"],
        "tmp2": facts["tmp2"],
        "dst": facts["dst"],
        "files": f"{facts['files']}, {human_bytes(facts['files_bytes'])}",
        "state": facts["status"],
        "pid": facts["pid"],
        "processes": tree or None,
        "user": facts["user"],
        "memory": human_bytes(facts["mem_bytes"]),
        "CPU": f"user {human_duration(facts['user_s'])}, sys {human_duration(facts['sys_s'])}",
        "log": facts["log"],
        "task id": facts["task_id"],
        "command": " ".join(facts["argv"]),
    }
    width = max(map(len, rows))
    return [f"{name:{width}}  {'?' if value is None else value}" for name, value in rows.items()]


def file_lines(files: Iterable[dict[str, Any]]) -> list[str]:
    listed = list(files)
    sizes = human_bytes_alike([file["allocated_bytes"] for file in listed])
    return [f"{size:>9}  {file['path']}" for size, file in zip(sizes, listed, strict=True)]


def folded_lines(files: Iterable[dict[str, Any]]) -> list[str]:
    """List files below a line for each folder."""
    folders: dict[str, list[dict[str, Any]]] = {}
    for file in files:
        folder, _, name = file["path"].rpartition("/")
        folders.setdefault(folder, []).append(file | {"path": name})
    return [line for folder, inside in folders.items() for line in (f"in {folder}:", *file_lines(inside))]


def files_sum(facts: dict[str, Any]) -> str:
    """Format the sum: `104 files, 42.0 MB`."""
    count = len(facts["files"])
    taken_bytes = sum(file["allocated_bytes"] for file in facts["files"])
    return f"{counted(count, 'file')}, {human_bytes(taken_bytes)}"


def doomed_lines(target: PlotSelection, facts: dict[str, Any], most: int) -> list[str]:
    """List what `kill` would end and delete. most: number of files that are listed."""
    job = target.job
    known = [job.plotter, f"k{job.k}" if job.k else None, f"phase {job.phase}" if job.phase else None]
    lines = [f"{target}: {', '.join(part for part in known if part)}, pid {job.pid}"]
    if not facts["ours"]:
        lines.append("  It was started by hand or by another manager, not by this plotman.")
    lines.append(f"  {files_sum(facts)} to be deleted{':' if facts['files'] else ''}")
    largest = sorted(facts["files"], key=lambda file: -int(file["allocated_bytes"]))
    lines += [f"    {line}" for line in folded_lines(largest[:most])]
    if len(largest) > most:
        lines.append(f"    and {len(largest) - most} more; `plotman files {target.name}` lists all")
    lines += [f"  {path} is a finished plot, and stays" for path in facts["finished"]]
    return lines + [f"  not read: {trouble}" for trouble in facts["troubles"]]


def killed_lines(what: str, facts: dict[str, Any]) -> list[str]:
    count = facts["deleted"]
    lines = [f"{what} killed; {counted(count, 'file')} deleted, "
             f"{human_bytes(facts['freed_bytes'])} freed"]  # fmt: skip
    lines += [f"  {path} is a finished plot, and stays" for path in facts["finished"]]
    return lines + [f"  not deleted: {left}" for left in facts["left"]]
