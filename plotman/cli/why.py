"""`plotman why`."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import click

from plotman.cli.confirm import JSON

if TYPE_CHECKING:
    from collections.abc import Sequence

    from plotman.control.queries.why import WhyAnswer


@click.command()
@click.argument("subject", required=False, metavar="[HOST|DIR|PLOT]")
@JSON
def why(subject: str | None, json_: bool) -> None:
    """Explain why no plot starts or moves now, until when, and what to do about it.

    For the whole farm, or for one host, directory, drive or plot (its path, file name or the start of its
    id). This also works while no scheduler runs: then its rules are applied here.
    """
    from plotman.cli.draw import as_json
    from plotman.control.farm import board
    from plotman.control.queries import why as query
    from plotman.control.queries.explain import explain
    from plotman.control.queries.misnamed import with_copies

    seen = query.picture(board(), query.limits_here())
    answers = with_copies(seen.farm, query.about(explain(seen), subject))
    if json_:
        as_json(query.as_dict(seen, answers))
        return
    if first := query.heading(seen):
        click.secho(f"! {first}", fg="yellow")
    if not answers:
        click.echo("No host is on the notice board: start `plotman up`.")
    _show(answers)


def _host(answer: WhyAnswer) -> str:
    return answer.host


def _show(answers: Sequence[WhyAnswer]) -> None:
    from common.model.text import one_line  # late: another machine's words must not act on this terminal

    for host, of_host in groupby(sorted(answers, key=_host), key=_host):
        click.secho(host, bold=True)
        for answer in of_host:
            when = f" ({answer.when})" if answer.when else ""
            subject = f"{answer.subject}: " if answer.subject else ""
            click.echo(one_line(f"  {subject}{answer.text}{when}"))
            if answer.remedy:
                click.secho(one_line(f"      {answer.remedy}"), dim=True)
