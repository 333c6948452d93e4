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
from plotter_worker.plotters.log_state import PlotLogState

Handler = Callable[[PlotLogState, re.Match[str]], None]
Rules = Mapping[bytes, tuple[tuple[re.Pattern[str], Handler], ...]]

# More than any line with two paths in it. The rest of a longer line is dropped: a damaged log may be
# gigabytes of zeros.
_LINE_BYTES = 8 * 1024
_TAIL_LINES = 100
# Keys for lines whose first word varies: lines of chia's Python logging begin with a time, bladebit's
# `X.plot.tmp -> X.plot` with a path.
TIMED = b"<time>"
ARROW = b"<path> ->"
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


class Milestones:
    """Handlers for lines that begin a phase. percent: what is done at that point; a phase that it lacks
    leaves the percent unchanged."""

    def __init__(self, percent: Mapping[Phase, float]) -> None:
        self._percent = percent

    def reach(self, state: PlotLogState, major: int, minor: int) -> None:
        phase = Phase(major, minor)
        state.reach(phase, self._percent.get(phase))

    def at(self, major: int, minor: int) -> Handler:
        """Make a handler for a line that always begins the same phase."""
        return lambda state, _match: self.reach(state, major, minor)


class RulesReader:
    """A `base.LogReader` that applies a table of rules. noise: lines that begin so are skipped, also in the
    tail."""

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
        first, *others = data.split(b"\n")
        self._pending = (self._pending + first)[:_LINE_BYTES]
        for line in others:
            if not (self._noise and self._pending.startswith(self._noise)):
                self._line(self._pending)
            self._pending = line[:_LINE_BYTES]

    def end(self) -> None:
        if self._pending:
            self.feed(b"\n")

    @property
    def progress(self) -> Progress:
        if self._progress is None:
            self._progress = self._state.progress()
        return self._progress

    def tail(self, count: int) -> str:
        lines = [*self._tail]
        if self._pending.strip() and not (self._noise and self._pending.startswith(self._noise)):
            lines.append(self._pending.rstrip())
        return "\n".join(line.decode(errors="replace") for line in lines[-count:]) if count > 0 else ""

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
        entries = self._table.get(_key(text))
        if not entries:
            return
        decoded = text.decode(errors="replace")
        for pattern, handler in entries:
            match = pattern.match(decoded)
            if match:
                self._progress = None  # rebuilt on demand; lines without a rule leave it valid
                handler(self._state, match)
                return


def _key(text: bytes) -> bytes:
    if text[:1].isdigit():
        return TIMED
    if b".plot.tmp -> " in text:
        return ARROW
    return text.split(None, 1)[0]
