"""Verbs that control the farm: pause, unpause, drain, undrain, evacuate, bandwidth, resend, cleanup,
forget."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from common.errors import ExitCode
from common.model.text import one_line
from plotman.cli.completion import (
    complete_host,
    complete_place,
    complete_place_of_harvester,
    complete_rate,
    complete_resend,
    complete_silent_host,
)
from plotman.cli.console import JSON, as_json, draw, must_agree, parsed, show_sentences
from plotman.control.arguments import age_s, moment, rate_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from plotman.control.actions.cleanup import CleanupResult, FoundLeftovers

_HOST = click.option("--host", help="Only this plotter; else all of the farm.", shell_complete=complete_host)
_REASON = click.option("--reason", metavar="TEXT", help="Why; shown in `plotman status`.")
_UNTIL = click.option(
    "--until",
    metavar="TIME",
    callback=parsed(lambda text: moment(text, datetime.now(UTC))),
    help="When it ends by itself: HH:MM, 'YYYY-MM-DD HH:MM' (this machine's local time) or +2h. Default: "
    "until you undo it.",
)
_QUIET_S = 300.0  # plotters leave younger files alone


def _quiet_age_s(text: str) -> float:
    """Parse the least age of leftovers. Raises ValueError for one that plotters would not heed."""
    found_s = age_s(text)
    if found_s < _QUIET_S:
        raise ValueError(f"{text} is less than five minutes: younger files may be in use.")
    return found_s


_PLACES = click.argument("places", nargs=-1, required=True, metavar="PLACE...", shell_complete=complete_place)


@click.group()
def pause() -> None:
    """Start no more plots or transfers. Running ones continue."""


@pause.command("plotting")
@_HOST
@click.option("--after", type=click.IntRange(min=0), metavar="N", help="Start N more plots first.")
@_UNTIL
@_REASON
@JSON
def pause_plotting(json_: bool, **given: Any) -> None:
    """Start no more plots, on one plotter or on all."""
    from plotman.control.actions import holds

    show_sentences(holds.pause("plotting", **given), json_)


@pause.command("archiving")
@_HOST
@_UNTIL
@_REASON
@JSON
def pause_archiving(json_: bool, **given: Any) -> None:
    """Begin no more transfers, from one plotter or from all. Finished plots wait in dst."""
    from plotman.control.actions import holds

    show_sentences(holds.pause("archiving", **given), json_)


@click.group()
def unpause() -> None:
    """Start plots or transfers again."""


@unpause.command("plotting")
@_HOST
@JSON
def unpause_plotting(host: str | None, json_: bool) -> None:
    """Start plots again as the rules allow, also after plotters died at once."""
    from plotman.control.actions import holds

    show_sentences(holds.unpause("plotting", host), json_)


@unpause.command("archiving")
@_HOST
@JSON
def unpause_archiving(host: str | None, json_: bool) -> None:
    """Send plots again as the rules allow."""
    from plotman.control.actions import holds

    show_sentences(holds.unpause("archiving", host), json_)


@click.command()
@_PLACES
@_UNTIL
@_REASON
@JSON
def drain(places: tuple[str, ...], until: datetime | None, reason: str | None, json_: bool) -> None:
    """Send no more plots to PLACE; running plots there continue, and finished ones leave.

    PLACE is HOST (it starts no plots, its drives accept none), HOST:DIR (a tmp, tmp2 or dst directory, or a
    drive), DIR of this machine, or `all`. A drain survives restarts.
    """
    _drain(places, True, json_, until, reason)


@click.command()
@_PLACES
@JSON
def undrain(places: tuple[str, ...], json_: bool) -> None:
    """Allow plots at PLACE again: the opposite of `drain`, for the same PLACE.

    With `all`, on every host and in each directory and drive that was drained by itself.
    """
    _drain(places, False, json_)


def _drain(
    places: tuple[str, ...], on: bool, json_: bool, until: datetime | None = None, reason: str | None = None
) -> None:
    from plotman.control.actions import holds

    try:
        answers = holds.drain(places, on, until, reason)
    except ValueError as error:
        raise click.UsageError(one_line(str(error))) from error
    show_sentences(answers, json_)


@click.command()
@click.argument("drive", metavar="HOST:DRIVE", shell_complete=complete_place_of_harvester)
@click.option(
    "--to",
    multiple=True,
    metavar="HOST|HOST:DRIVE",
    shell_complete=complete_place_of_harvester,
    help="Only there; may be given several times. Default: any drive of the farm with room.",
)
@click.option(
    "--bandwidth",
    metavar="RATE",
    callback=parsed(rate_of),
    help="Limit the rate over the network: 80M, 500K (bytes per second). On a machine that plots, use "
    "`plotman bandwidth`.",
)
@click.option("--stop", is_flag=True, help="End it. A plot that is under way is moved to its end.")
@_REASON
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@JSON
def evacuate(
    drive: str,
    to: tuple[str, ...],
    bandwidth: int | None,
    stop: bool,
    reason: str | None,
    yes: bool,
    json_: bool,
) -> None:
    """Move all plots of a farming drive to other drives, as before it is sold or dies.

    One plot after the other is copied, checked on its new drive, and then deleted on the old one. Plots that
    plotters have made come first. The drive is drained, and stays so. An evacuation survives restarts;
    `plotman dirs` shows its progress, `plotman why HOST:DRIVE` what it waits for.
    """
    from plotman.control.actions import evacuate as evacuating
    from plotman.control.actions.holds import HoldAnswers

    if stop and (to or reason or bandwidth):
        raise click.UsageError("--stop takes no other options.")
    try:
        if stop:
            answer = HoldAnswers(*evacuating.stop(drive))
        else:
            planned = evacuating.plan(drive, to)
            if not yes:
                click.echo("\n".join(map(one_line, planned.lines())), err=True)
                must_agree("Move them?", "With --yes it begins without asking.")
            answer = HoldAnswers(planned.host, evacuating.start(planned, reason, bandwidth))
    except ValueError as error:
        raise click.UsageError(one_line(str(error))) from error
    show_sentences([answer], json_)


@click.command()
@click.argument("rate", callback=parsed(rate_of), shell_complete=complete_rate)
@_HOST
@JSON
def bandwidth(rate: int | None, host: str | None, json_: bool) -> None:
    """Limit the rate at which plotters send to other machines, from now on.

    RATE is in bytes per second (80M, 500K), `off` for no limit, or `default` for the limit in plotman.yaml.
    """
    from plotman.control.actions import holds

    show_sentences(holds.bandwidth(rate, host), json_)


@click.command()
@click.argument("plot", shell_complete=complete_resend)
@click.option(
    "--host", help="The plotter that has it; by default it is searched for.", shell_complete=complete_host
)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@JSON
def resend(plot: str, host: str | None, yes: bool, json_: bool) -> None:
    """Send a plot again that a harvester refused, or that waits for a harvester that is lost for good.

    PLOT is its path, its file name or the start of its id. If the lost harvester may have the plot, this
    explains the consequences and asks.
    """
    from plotman.control.actions import resend as resending
    from plotman.control.actions.holds import HoldAnswers
    from plotman.control.farm import board

    stuck = resending.find(board(), plot, host)
    if stuck.warning:
        click.echo(stuck.warning, err=True)
        if not yes:
            must_agree("Send it to another?", "With --yes it is sent without asking.")
    show_sentences([HoldAnswers(stuck.host, resending.resend(stuck))], json_)


@click.command()
@click.argument("host", shell_complete=complete_silent_host)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@JSON
def forget(host: str, yes: bool, json_: bool) -> None:
    """Remove HOST, a machine that is lost for good, after showing what is known of it and asking.

    It must be silent. `status`, the dashboard and the metrics no longer show it, and its plots that may still
    run no longer count for farm.max_jobs. Messages that wait for it are deleted: beat's orders, which have
    expired, and Terminate in Flower, which must be repeated. No file is touched on any machine. If HOST comes
    back, it announces itself again, with all its plots.
    """
    from plotman.control.actions import forget as forgetting
    from plotman.control.actions.holds import HoldAnswers

    lost = forgetting.find(host)
    if not yes:
        click.echo("\n".join(forgetting.lines(lost)), err=True)
        must_agree(f"Forget {host}?", "With --yes the host is forgotten without asking.")
    show_sentences([HoldAnswers(host, forgetting.forget(host))], json_)


@click.command()
@click.option("--host", help="Only this plotter; else all of the farm.")
@click.option("--tmp", metavar="DIR", help="Only this tmp, tmp2 or dst directory.")
@click.option(
    "--older",
    metavar="AGE",
    callback=parsed(_quiet_age_s),
    help="Only files unchanged for this time: 30m, 2h, 3d. At least five minutes.",
)
@click.option("--yes", is_flag=True, help="Delete them. Without it they are only listed.")
@JSON
def cleanup(host: str | None, tmp: str | None, older: float | None, yes: bool, json_: bool) -> None:
    """Find files that crashed or killed plotters left in their directories; delete them with --yes.

    Files of running and suspended plots are never touched, no matter who started them; nor are finished
    plots.
    """
    from plotman.control.actions import cleanup as cleaning

    found = cleaning.find(host, tmp, older)
    if not json_:
        draw(cleaning.leftovers_table(found))
        draw(cleaning.kept_table(found))
    cleaned: list[CleanupResult] | None = None
    if yes:
        cleaned = [done for one in found if one.leftovers for done in cleaning.delete(one, older)]
    if json_:
        as_json(cleaning.as_dict(found, cleaned))
    else:
        _summarize(found, cleaned)
    if any(one.error for one in found) or any(done.refused or done.error for done in cleaned or ()):
        sys.exit(ExitCode.FAILED)


def _summarize(found: Sequence[FoundLeftovers], cleaned: Sequence[CleanupResult] | None) -> None:
    from common.model.units import counted, human_bytes

    for one in found:
        for trouble in (*one.troubles, *([one.error] if one.error else [])):
            click.echo(f"{one.host}: {trouble}", err=True)
    files, size_bytes = sum(len(one.leftovers) for one in found), sum(one.bytes for one in found)
    if cleaned is None:
        if files:
            size = f"{counted(files, 'file')}, {human_bytes(size_bytes)}"
            click.echo(f"{size}: `plotman cleanup --yes` deletes {'it' if files == 1 else 'them'}.")
        else:
            answered = all(one.error is None for one in found)
            click.echo("No leftovers." if answered else "No leftovers on the hosts that answered.")
        return
    for done in cleaned:
        for path, reason in done.refused:
            click.echo(f"{done.host}: {path} stays: {reason}", err=True)
        if done.error is not None:
            click.echo(f"{done.host}: {done.error}", err=True)
    deleted = sum(done.deleted for done in cleaned)
    click.echo(
        f"{counted(deleted, 'file')} deleted, {human_bytes(sum(done.freed_bytes for done in cleaned))} freed."
    )
