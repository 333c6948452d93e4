"""Log lines that mean the same whichever plotter writes them: errors, and the job's settings."""

from __future__ import annotations

import re

from plotter_worker.plotters.log_parser import Rules, rules
from plotter_worker.plotters.log_state import PlotLogState, Weight


def _traceback(state: PlotLogState, _match: re.Match[str]) -> None:
    """Frames are indented; the first line that is not indented names the exception. Of chained tracebacks
    the last one counts: that exception ended the program."""

    def take(line: str) -> bool:
        if line[:1].isspace():
            return True
        state.fail(line, Weight.TRACEBACK)
        return False

    state.expect_error(take)


def first_group(state: PlotLogState, match: re.Match[str]) -> None:
    """The pattern's first group is the error message."""
    state.fail(match[1])


def whole_line(state: PlotLogState, match: re.Match[str]) -> None:
    """The whole match is the error message."""
    state.fail(match[0])


def _thrown(state: PlotLogState, match: re.Match[str]) -> None:
    state.fail(match[0], Weight.TRACEBACK)


def _aborted(state: PlotLogState, _match: re.Match[str]) -> None:
    state.fail("interrupted", Weight.CONSEQUENCE)


def _version(state: PlotLogState, match: re.Match[str]) -> None:
    state.version = match[1]


def _threads(state: PlotLogState, match: re.Match[str]) -> None:
    state.threads = int(match[1])


def _buckets(state: PlotLogState, match: re.Match[str]) -> None:
    state.buckets = int(match[1])


def _buffer(state: PlotLogState, match: re.Match[str]) -> None:
    state.buffer_mib = int(match[1])


SHARED_RULES: Rules = rules(
    (b"Traceback", r"Traceback \(most recent call last\):", _traceback),
    # libstdc++, for an exception without a handler. `what()` follows, indented.
    (b"terminate", r"terminate called .*", _thrown),
    (b"what():", r"what\(\):\s+(.+)", first_group),
    # click (`chia plots create`) and argparse (`chia plotters`).
    (b"Error:", r"Error: (.+)", first_group),
    (b"chia", r"chia [\w ]*: error: (.+)", first_group),
    (b"Aborted!", r"Aborted!$", _aborted),
    # `chia plotters` 2.7.5; it then exits with 0.
    (b"madmax", r"madmax plotter was not found\.", whole_line),
    (b"Bladebit", r"Bladebit was not found\.", whole_line),
    (b"If", r"If you are testing and you want to use smaller size .*", whole_line),
    (b"Exception", r"Exception while plotting: (.+)", first_group),
    # Settings, at the head of a log: chiapos 2.0.12
    (b"Buffer", r"Buffer size is: (\d{1,9})MiB$", _buffer),
    (b"Using", r"Using (\d{1,9}) buckets$", _buckets),
    (b"Using", r"Using (\d{1,9}) threads of stripe size", _threads),
    # madMAx 1.1.8, and Gigahorse, whose log begins with a commit instead of a version
    (b"Multi-threaded", r"Multi-threaded .*plotter - (\S+)$", _version),
    (b"Chia", r"Chia .*plotter - (\S+)$", _version),
    (b"Number", r"Number of Threads:\s*(\d{1,9})$", _threads),
    (b"Number", r"Number of Buckets(?: P1)?:\s*2\^\d+ \((\d{1,9})\)$", _buckets),
    # bladebit 1.2.4 to 3.1.1
    (b"Version", r"Version\s*:\s*(\S+)$", _version),
    (b"Thread", r"Thread count\s*:\s*(\d{1,9})$", _threads),
    (b"Bucket", r"Bucket count\s*:\s*(\d{1,9})$", _buckets),
)
