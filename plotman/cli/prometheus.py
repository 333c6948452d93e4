"""`plotman prometheus`: the farm's metrics, printed or served."""

from __future__ import annotations

import signal
import threading

import click


@click.command()
@click.option(
    "--listen",
    metavar="[ADDRESS:]PORT",
    help="Serve them to Prometheus there, until Ctrl-C. Without an address: to this machine only.",
)
def prometheus(listen: str | None) -> None:
    """Print the farm's metrics in Prometheus' text format: plotman 0.5's, and more.

    If the broker does not answer, the only metric is plotman_broker_up 0.
    """
    from common.model.address import listen_at
    from plotman.control.farm import board
    from plotman.metrics.collector import as_text, serve

    if listen is None:
        click.echo(as_text(board()), nl=False)
        return
    host, port = listen_at(listen)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    at = f"[{host}]" if ":" in host else host
    click.echo(f"Serving http://{at}:{port}/metrics", err=True)
    serve(board(), host, port, stop)
