"""Runs one worker or beat for `plotman up`: `python -P -m plotman.serve plotter@HOST|...|beat`.

Equal to `celery -A plotman worker -n plotter@HOST -Q plotter.HOST -l INFO --heartbeat-interval 10` and
`celery -A plotman beat -l INFO`. Celery's command line always loads Flower, a shell and the tools of other
brokers, which takes 15 MiB and 0.2 s of a core for each process.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from common.config import Config
from common.config.watch import load_to_run
from common.errors import PlotmanError
from common.names import Role, queue, role_and_host
from common.system.output import clean_output, outlive_full_disk
from plotman.app import make_app

BEAT = "beat"
# Celery's default of 2 s causes most of the load of an idle worker.
_HEARTBEAT_S = 10.0


def serve(node: str) -> int:
    """Run until a signal stops it; returns the exit code. node: name of a worker, ROLE@HOST, or BEAT.

    Raises ValueError for another name, and PlotmanError.
    """
    outlive_full_disk()
    settings = load_to_run()
    app = make_app(settings)
    if node == BEAT:
        app.Beat(loglevel="INFO").run()
        return 0
    named = role_and_host(node)
    if named is None:
        raise ValueError(f"{node} is not a worker of plotman: write ROLE@HOST.")
    worker: Any = app.Worker(
        hostname=node,
        queues=[queue(*named)],
        loglevel="INFO",
        heartbeat_interval=_HEARTBEAT_S,
        concurrency=_transfers(settings) if named[0] is Role.ARCHIVER else None,
    )
    worker.start()
    return int(worker.exitcode or 0)


def _transfers(settings: Config) -> int:
    """Number of plots that the archiver sends at a time."""
    return settings.archiving.concurrency if settings.archiving else 1


def main() -> None:
    parser = argparse.ArgumentParser("python -m plotman.serve", description="Run one process of plotman.")
    parser.add_argument("node", help=f"ROLE@HOST, or {BEAT}")
    arguments = parser.parse_args()
    # What Celery runs again after a SIGHUP. As a file, this one would have its own folder on the path, and
    # celery.py in it. -P: nothing in the working folder is imported.
    sys.argv[:1] = ["-P", "-m", "plotman.serve"]
    clean_output()
    try:
        sys.exit(serve(arguments.node))
    except ValueError as error:
        parser.error(str(error))
    except PlotmanError as error:
        print(f"plotman: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
