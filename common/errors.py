"""Errors that users read: what failed, where, and what to do next."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the `plotman` command, documented in docs/cli.md."""

    OK = 0
    FAILED = 1  # plotman tried something, and it failed
    USAGE = 2  # the command line is wrong (click's own code)
    CONFIG = 3  # plotman.yaml is missing or wrong
    UNREACHABLE = 4  # no broker, or no worker answers
    NOTHING = 5  # the object of the command does not exist


class PlotmanError(Exception):
    """Root of all errors for users. `str()` is one line that states what to do.

    what: what failed, with the place (file, host, drive).
    cure: what to do next, an imperative sentence; empty if `what` is enough.
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
    """Redis cannot be reached, or refuses the connection or a command."""

    exit_code = ExitCode.UNREACHABLE


class OrderRefused(PlotmanError):
    """A host refuses an order: it is out of date, or does not fit the state of the host."""


class NoSuchPlot(OrderRefused):
    """No plot has this name."""

    exit_code = ExitCode.NOTHING


class ManyPlots(OrderRefused):
    """Several plots fit this name; nothing was done."""

    exit_code = ExitCode.NOTHING


class PlotFailed(PlotmanError):
    """A plotter ended without its plot. `what` contains the reason and the last lines of its log."""


class TransferFailed(PlotmanError):
    """A plot could not be sent to its drive; the source is untouched."""


class TicketRefused(TransferFailed):
    """A ticket has another form than harvesters write; nothing was done with it."""


class NoRoom(TransferFailed):
    """No drive of the harvester has space for the plot, and none of them holds it; all were searched."""


class DriveFailed(TransferFailed):
    """A drive returned other bytes than were written: the plot is good, its copy is not."""


class PlotRefused(PlotmanError):
    """A harvester refused a file: it is incomplete, not a plot, or its proofs fail."""
