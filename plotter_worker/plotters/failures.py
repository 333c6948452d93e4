"""How programs say that they give up, whichever plotter it is: Python, C++ and option parsers."""

from __future__ import annotations

import re

from plotter_worker.plotters.log_parser import Rules, rules
from plotter_worker.plotters.log_state import PlotLogState, Weight


def _traceback(story: PlotLogState, _match: re.Match[str]) -> None:
    """Frames are indented; the first line that is not names the exception. Of chained tracebacks the last
    one counts: it is what ended the program."""

    def take(line: str) -> bool:
        if line[:1].isspace():
            return True
        story.fail(line, Weight.TRACEBACK)
        return False

    story.error_follows(take)


def said(story: PlotLogState, match: re.Match[str]) -> None:
    """The pattern's first group is the reason."""
    story.fail(match[1])


def whole_line(story: PlotLogState, match: re.Match[str]) -> None:
    story.fail(match[0])


def _thrown(story: PlotLogState, match: re.Match[str]) -> None:
    story.fail(match[0], Weight.TRACEBACK)


def _aborted(story: PlotLogState, _match: re.Match[str]) -> None:
    story.fail("interrupted", Weight.CONSEQUENCE)


FAILURES: Rules = rules(
    (b"Traceback", r"Traceback \(most recent call last\):", _traceback),
    # libstdc++: an exception nobody caught. `what()` follows, indented.
    (b"terminate", r"terminate called .*", _thrown),
    (b"what():", r"what\(\):\s+(.+)", said),
    # click (`chia plots create`) and argparse (`chia plotters`).
    (b"Error:", r"Error: (.+)", said),
    (b"chia", r"chia [\w ]*: error: (.+)", said),
    (b"Aborted!", r"Aborted!$", _aborted),
    # `chia plotters` 2.7.5; it then exits with 0.
    (b"madmax", r"madmax plotter was not found\.", whole_line),
    (b"Bladebit", r"Bladebit was not found\.", whole_line),
    (b"If", r"If you are testing and you want to use smaller size .*", whole_line),
    (b"Exception", r"Exception while plotting: (.+)", said),
)
