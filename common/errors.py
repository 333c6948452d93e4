"""One root for every error a person may read: what failed, where, and what to do next."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the `plotman` command, documented in docs/cli.md."""

    OK = 0
    FAILED = 1  # something was tried and did not work
    USAGE = 2  # the command line is wrong (click's own code)
    CONFIG = 3  # plotman.yaml is missing or wrong
    UNREACHABLE = 4  # no broker, or no worker answers
    NOTHING = 5  # what was asked for does not exist


class PlotmanError(Exception):
    """An error with a cure. `str()` is a single line that a person can act on.

    what: what failed, with the place (file, host, drive) in it.
    cure: what to do next, as an imperative sentence; empty where the `what` says it all.
    """

    exit_code = ExitCode.FAILED

    def __init__(self, what: str, cure: str = "") -> None:
        # Both go to Exception's args so that the error survives Celery's JSON result backend.
        super().__init__(what, cure)
        self.what = what
        self.cure = cure

    def __str__(self) -> str:
        return f"{self.what} {self.cure}".strip() if self.cure else self.what


class ConfigError(PlotmanError):
    """plotman.yaml is missing, unreadable or wrong."""

    exit_code = ExitCode.CONFIG


class BrokerError(PlotmanError):
    """Redis cannot be reached, or refuses us."""

    exit_code = ExitCode.UNREACHABLE


class OrderRefused(PlotmanError):
    """A plotter does not carry out an order: it is stale, or does not fit what the host itself sees."""


class NoSuchPlot(OrderRefused):
    """Nothing here is named so."""

    exit_code = ExitCode.NOTHING


class ManyPlots(OrderRefused):
    """More than one thing here is named so, and nothing was done to any."""

    exit_code = ExitCode.NOTHING


class PlotFailed(PlotmanError):
    """A plotter ended without its plot; `what` holds the reason and the last lines of its log."""


class TransferFailed(PlotmanError):
    """A plot could not be sent to its drive; the source is untouched."""


class TicketRefused(TransferFailed):
    """The ticket to a receiver has a form that no harvester writes. Nothing was sent."""


class NoRoom(TransferFailed):
    """No drive of the harvester takes the plot now, and none holds it: it looked at all of them."""


class DriveFailed(TransferFailed):
    """A drive gives back other bytes than it got: the plot is not to blame, and what came is no copy."""


class PlotRefused(PlotmanError):
    """A harvester did not take a plot in: it is not whole, not a plot, or fails its proofs."""
