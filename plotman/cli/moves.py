"""`plotman resend` and `plotman bandwidth`."""

from __future__ import annotations

import re

import click

_WORDS = {"OFF": 0, "DEFAULT": None}
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}


def rate_of(text: str) -> int | None:
    """`80M`, `80MB/s`, `off`, `default` -> bytes a second; 0: no limit; None: as plotman.yaml says. Raises
    click.BadParameter."""
    words = text.strip().upper()
    if words in _WORDS:
        return _WORDS[words]
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?)B?(?:/S)?", words)
    if match is None:
        raise click.BadParameter(f"{text} is no rate; say 80M, 500K, off or default")
    bytes_s = int(float(match[1]) * _UNITS[match[2]])
    if bytes_s < 1024:
        raise click.BadParameter(f"{text} is too little; say 2K or more, or off")
    return bytes_s


@click.command()
@click.argument("rate", callback=lambda _ctx, _param, text: rate_of(text))
@click.option("--host", help="Only this plotter; else all of the farm.")
def bandwidth(rate: int | None, host: str | None) -> None:
    """Limit what plotters send to other machines, now: RATE is bytes a second (80M, 500K), `off` for no limit
    or `default` for what plotman.yaml says."""
    from plotman.control import asking, steering

    for plotter in asking.plotters(host):
        click.echo(steering.bandwidth(plotter, rate))


@click.command()
@click.argument("plot")
@click.option("--host", help="The plotter on which it lies; else the one that has it.")
def resend(plot: str, host: str | None) -> None:
    """Send a plot again that a harvester refused. PLOT is its path, its file name or the start of its id."""
    from plotman.control import steering

    click.echo(steering.resend(steering.holder_of_refused(plot, host), plot))
