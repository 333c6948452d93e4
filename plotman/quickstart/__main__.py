"""Entry point of ./deploy/quickstart. `--help` works before anything is installed: it needs only Python."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from common.errors import PlotmanError
from plotman.quickstart.chia import MAX_K, MIN_K

_DESCRIPTION = """\
Make real plots on this machine and move them to drives, all in one folder: create a small farm (2 tmp, 2 dst,
4 drives), run plotman on it until the plots lie verified on the drives, and show what `plotman status` shows.
Ctrl-C stops it; running plots continue without it.
"""


class Arguments(NamedTuple):
    """What was asked for; paths are absolute. chia: None if only the other options are checked."""

    farm: Path
    plots: int
    k: int
    stay: bool
    replot: bool
    chia: Path | None


def main() -> None:
    farm, plots, k, stay, replot, chia = _arguments()
    if chia is None:
        return
    from rich.console import Console

    from common.system.output import clean_output
    from plotman.quickstart.run import Request, quickstart

    # The picture is drawn past the cleaner, which would escape what moves the cursor.
    console = Console(file=sys.stdout)
    clean_output()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        quickstart(Request(farm, plots, k, chia, stay, replot), console)
    except PlotmanError as error:
        print(f"quickstart: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("quickstart: stopped. Plots that still run continue; the next run moves them.", file=sys.stderr)  # noqa: T201
        sys.exit(130)


def _arguments() -> Arguments:
    """Exits with 2 if they are wrong."""
    parser = argparse.ArgumentParser("quickstart", description=_DESCRIPTION, allow_abbrev=False)
    parser.add_argument(
        "--farm", type=Path, default=Path("farm"),
        help="folder of the farm; created if missing, earlier plots stay in it (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--plots", type=int, default=6, help="number of plots to make (default: %(default)s)")
    parser.add_argument(
        "--k", type=int, default=MIN_K, choices=range(MIN_K, MAX_K + 1), metavar=f"{MIN_K}..{MAX_K}",
        help="size of the plots (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--stay", action="store_true",
        help="leave the farm running until Ctrl-C when the plots are made, to look at it",
    )  # fmt: skip
    parser.add_argument(
        "--replot", action="store_true",
        help="then make plots of the new proof of space, until they have replaced all old ones on the drives",
    )  # fmt: skip
    # Absent when deploy/quickstart asks, before it installs anything, whether the others are right.
    parser.add_argument(
        "--chia", type=Path,
        help="the chia program that makes the plots, with its full path; ./deploy/quickstart installs one",
    )  # fmt: skip
    parser.add_argument("--check-options", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.plots < 1:
        parser.error("--plots: at least 1")
    if given.chia is None and not given.check_options:
        parser.error("--chia: name the chia program (./deploy/quickstart installs one, and names it)")
    if given.chia and not given.chia.is_file():
        parser.error(f"--chia: {given.chia} is no file")
    farm = given.farm.absolute()
    if trouble := _trouble(farm):
        parser.error(f"--farm: {trouble}")
    chia = given.chia and given.chia.absolute()
    return Arguments(farm, given.plots, given.k, given.stay, given.replot, chia)


def _trouble(farm: Path) -> str | None:
    """Why no farm can be in this folder, an absolute path; None if one can."""
    try:
        there = next(path for path in (farm, *farm.parents) if path.exists())
    except OSError as error:
        return f"{farm} cannot be used: {error.strerror}"
    if not there.is_dir():
        return f"{there} is no folder"
    if not os.access(there, os.W_OK | os.X_OK):
        return f"you may not write to {there}"
    return None


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
