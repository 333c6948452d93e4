"""Entry point of ./deploy/quickstart. `--help` works before anything is installed: it needs only Python."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

from common.errors import PlotmanError
from plotman.quickstart.chia import MAX_K, MIN_K

_DESCRIPTION = """\
Make real plots on this machine and move them to drives, all in one folder: create a small farm (2 tmp, 2 dst,
4 drives), run plotman on it until the plots lie verified on the drives, and show what `plotman status` shows.
Ctrl-C stops it; running plots continue without it.
"""


def main() -> None:
    farm, plots, k, chia = _arguments()
    from rich.console import Console

    from common.system.output import clean_output
    from plotman.quickstart.run import Request, quickstart

    # The picture is drawn past the cleaner, which would escape what moves the cursor.
    console = Console(file=sys.stdout)
    clean_output()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        quickstart(Request(farm, plots, k, chia), console)
    except PlotmanError as error:
        print(f"quickstart: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("quickstart: stopped. Running plots continue; the next run moves them.", file=sys.stderr)  # noqa: T201
        sys.exit(130)


def _arguments() -> tuple[Path, int, int, Path]:
    """(farm, plots, k, chia), paths absolute. Exits with 2 if they are wrong."""
    parser = argparse.ArgumentParser("quickstart", description=_DESCRIPTION)
    parser.add_argument(
        "--farm", type=Path, default=Path("farm"),
        help="folder of the farm; created if missing, earlier plots stay in it (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--plots", type=int, default=6, help="number of plots to make (default: %(default)s)")
    parser.add_argument(
        "--k", type=int, default=MIN_K, choices=range(MIN_K, MAX_K + 1), metavar=f"{MIN_K}..{MAX_K}",
        help="size of the plots (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--chia", type=Path, required=True, help="the official chia program")
    given = parser.parse_args()
    if given.plots < 1:
        parser.error("--plots: at least 1")
    if not given.chia.is_file():
        parser.error(f"--chia: {given.chia} is no file")
    if given.farm.exists() and not given.farm.is_dir():
        parser.error(f"--farm: {given.farm} is no folder")
    return given.farm.absolute(), given.plots, given.k, given.chia.absolute()


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
