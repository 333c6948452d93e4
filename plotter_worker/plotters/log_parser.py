"""Reads any plotter's log as it grows: bytes -> lines -> a plotter's rules -> Progress.

Rules are looked up by the first word of a line, so that a line without meaning (five of six in chia's logs)
costs no regular expression.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from common.model.phase import Phase
from plotter_worker.plotters.base import CommandLine, Mode, Progress
from plotter_worker.plotters.log_state import PlotLogState, Weight

Handler = Callable[[PlotLogState, re.Match[str]], None]
Rules = Mapping[bytes, tuple[tuple[re.Pattern[str], Handler], ...]]

LONGEST_LINE = 500  # characters of a line in a reason or a tail
# More than any line with two paths in it. The rest of a longer line is dropped: a damaged log may be
# gigabytes of zeros.
_LINE_BYTES = 8 * 1024
_TAIL_LINES = 100
# Keys for lines whose first word varies: lines of chia's Python logging begin with a time, bladebit's
# `X.plot.tmp -> X.plot` with a path.
TIMED = b"<time>"
ARROW = b"<path> ->"
# Colours and cursor movements of terminals (ECMA-48 CSI), as programs that run below a pty write them.
_ANSI = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")
# Prefix that `chia plotters madmax` adds to lines of the plotter's stderr.
_WRAPPED_STDERR = b"STDERR: "


def rules(*lines: tuple[bytes, str, Handler]) -> Rules:
    """Build a table from (first word, pattern, handler). A pattern is matched at the line's first non-blank;
    of the rules for one word only the first that matches is applied."""
    table: dict[bytes, list[tuple[re.Pattern[str], Handler]]] = {}
    for word, pattern, handler in lines:
        table.setdefault(word, []).append((re.compile(pattern, re.ASCII), handler))
    return {word: tuple(entries) for word, entries in table.items()}


def merged(*tables: Rules) -> Rules:
    """Join tables. For one first word, the rules of the earlier table are tried first."""
    words: Iterable[bytes] = dict.fromkeys(word for table in tables for word in table)
    return {word: tuple(rule for table in tables for rule in table.get(word, ())) for word in words}


def keep(name: str, convert: Callable[[str], object] = str) -> Handler:
    """Make a handler for a line that gives one value: its first group becomes the field `name` of the current
    plot, or of the job if a plot has no such field."""

    def handler(state: PlotLogState, match: re.Match[str]) -> None:
        setattr(state.plot if hasattr(state.plot, name) else state, name, convert(match[1]))

    return handler


def keep_path(name: str) -> Handler:
    """Make a handler for a line whose first group is a path: the field `name` of the current plot."""
    return lambda state, match: setattr(state.plot, name, state.path(match[1]))


def first_group(state: PlotLogState, match: re.Match[str]) -> None:
    """The pattern's first group is the error message."""
    state.fail(match[1])


def whole_line(state: PlotLogState, match: re.Match[str]) -> None:
    """The whole match is the error message."""
    state.fail(match[0])


def waits(state: PlotLogState, match: re.Match[str]) -> None:
    """The plotter waits for space; the whole match says so."""
    state.stall(match[0])


class Milestones:
    """Handlers for lines that begin a phase. percent: what is done at that point; if it returns None, the
    percent is unchanged."""

    def __init__(self, percent: Callable[[Mode, Phase], float | None]) -> None:
        self._percent = percent

    def reach(self, state: PlotLogState, major: int, minor: int) -> None:
        phase = Phase(major, minor)
        state.reach(phase, self._percent(state.mode, phase))

    def at(self, major: int, minor: int) -> Handler:
        """Make a handler for a line that always begins the same phase."""
        return lambda state, _match: self.reach(state, major, minor)

    def step(self, major: int, minor: Callable[[int], int] = lambda number: number) -> Handler:
        """Make a handler for a line whose first group is a number (a table's), from which `minor` follows."""
        return lambda state, match: self.reach(state, major, minor(int(match[1])))


class LogReader:
    """Reads a log as it grows. Accepts any bytes in chunks of any size, and never raises. noise: lines that
    begin so are skipped, also in the tail."""

    def __init__(self, table: Rules, command: CommandLine | None, noise: bytes | None = None) -> None:
        self._table = table
        self._noise = noise
        self._pending = b""
        self._tail: deque[bytes] = deque(maxlen=_TAIL_LINES)
        self._state = PlotLogState(
            cwd=command.cwd if command else None,
            asked=command.n if command else None,
            mode=command.mode if command else Mode.CPU,
        )
        self._progress: Progress | None = None

    def feed(self, data: bytes) -> None:
        """Read the next bytes. A line counts once its newline has arrived."""
        first, *others = data.split(b"\n")
        self._pending = (self._pending + first)[:_LINE_BYTES]
        for line in others:
            self._pending = without_colours(self._pending)
            if not (self._noise and self._pending.startswith(self._noise)):
                self._line(self._pending)
            self._pending = line[:_LINE_BYTES]

    def end(self) -> None:
        """Count a last line without a newline. Only for the log of an ended process."""
        if self._pending:
            self.feed(b"\n")

    @property
    def progress(self) -> Progress:
        """The state after the last complete line."""
        if self._progress is None:
            self._progress = self._state.progress()
        return self._progress

    def tail(self, count: int) -> str:
        """The last `count` lines without noise, an incomplete one included."""
        lines = [*self._tail]
        if self._pending.strip() and not (self._noise and self._pending.startswith(self._noise)):
            lines.append(self._pending.rstrip())
        texts = (line.decode(errors="replace") for line in lines[-count:])
        return "\n".join(text[:LONGEST_LINE] for text in texts) if count > 0 else ""

    def key(self, text: bytes) -> bytes:
        """The key in the table of rules for a line that is not blank: its first word, or TIMED or ARROW."""
        if text[:1].isdigit():
            return TIMED
        if b".plot.tmp -> " in text:
            return ARROW
        return text.split(None, 1)[0]

    def _line(self, line: bytes) -> None:
        text = line.strip().removeprefix(_WRAPPED_STDERR)
        if not text:
            return
        self._tail.append(line.rstrip())
        if self._state.expects_error:
            self._progress = None
            self._state.continue_error(line.removeprefix(_WRAPPED_STDERR).decode(errors="replace"))
        if self._state.stalled is not None:
            self._progress = None
            self._state.end_stall()
        entries = self._table.get(self.key(text))
        if not entries:
            return
        decoded = text.decode(errors="replace")
        for pattern, handler in entries:
            match = pattern.match(decoded)
            if match:
                self._progress = None  # rebuilt on demand; lines without a rule leave it valid
                handler(self._state, match)
                return


def without_colours(data: bytes) -> bytes:
    """`data` without the control sequences of terminals."""
    return _ANSI.sub(b"", data) if b"\x1b" in data else data


def _traceback(state: PlotLogState, _match: re.Match[str]) -> None:
    """Frames are indented; the first line that is not indented names the exception. Of chained tracebacks
    the last one counts: that exception ended the program."""

    def take(line: str) -> bool:
        if line[:1].isspace():
            return True
        state.fail(line, Weight.TRACEBACK)
        return False

    state.expect_error(take)


def _thrown(state: PlotLogState, match: re.Match[str]) -> None:
    state.fail(match[0], Weight.TRACEBACK)


def _aborted(state: PlotLogState, _match: re.Match[str]) -> None:
    state.fail("interrupted", Weight.CONSEQUENCE)


# Lines that mean the same whichever plotter writes them: errors, and the job's settings.
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
    (b"Buffer", r"Buffer size is: (\d{1,9})MiB$", keep("buffer_mib", int)),
    (b"Using", r"Using (\d{1,9}) buckets$", keep("buckets", int)),
    (b"Using", r"Using (\d{1,9}) threads of stripe size", keep("threads", int)),
    # madMAx 1.1.8, and Gigahorse, whose log begins with a commit instead of a version
    (b"Multi-threaded", r"Multi-threaded .*plotter - (\S+)$", keep("version")),
    (b"Chia", r"Chia .*plotter - (\S+)$", keep("version")),
    (b"Number", r"Number of Threads:\s*(\d{1,9})$", keep("threads", int)),
    (b"Number", r"Number of Buckets(?: P1)?:\s*2\^\d+ \((\d{1,9})\)$", keep("buckets", int)),
    # bladebit 1.2.4 to 3.1.1
    (b"Version", r"Version\s*:\s*(\S+)$", keep("version")),
    (b"Thread", r"Thread count\s*:\s*(\d{1,9})$", keep("threads", int)),
    (b"Bucket", r"Bucket count\s*:\s*(\d{1,9})$", keep("buckets", int)),
)
