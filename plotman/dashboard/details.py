"""The details of a running plot, and its log as it is written."""

from __future__ import annotations

import threading
from typing import Any, ClassVar, Self

from rich.style import Style
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.geometry import Size
from textual.widgets import Log, Static

from common import names
from common.errors import PlotmanError
from common.model.snapshot import Job, age_s
from common.model.text import log_text, one_line
from common.model.units import human_bytes, human_duration
from plotman.control.farm import FarmState
from plotman.control.rpc import TaskCall
from plotman.dashboard import timeline
from plotman.dashboard.behind import ScreenBehind
from plotman.dashboard.keys import KeyFooter
from plotman.dashboard.lines import Lines
from plotman.dashboard.model import RowSubject
from plotman.dashboard.requests import Asker, call_soon, start_thread
from plotman.dashboard.timeline import Courses

_LINES = 300  # of one answer, the newest ones: what scrolls past between two answers is not seen
_WAIT_S = 5.0  # one long poll; its thread and connections outlive a screen that is closed meanwhile
_ANSWER_S = 15.0
_RETRY_S = 2.0
_PACE_S = 1.5  # between two requests: each takes 15 ms of a core with its drawing, and some logs always grow
_LOG_KEPT = 5000  # lines
_LOW = 20  # lines of a terminal without room for more than facts and log


def facts(farm: FarmState, subject: RowSubject, job: Job | None) -> str:
    """What the board says about the plot, one fact or a few per line."""
    if job is None:
        return f"The plot on {subject.host} is no longer running."
    percent = "?" if job.percent is None else f"{job.percent:.0f}%"
    eta = "?" if job.eta_s is None else human_duration(job.eta_s)
    lines = [
        f"Plot {job.plot_id or 'without an id yet'}",
        f"{job.plotter} k{job.k or '?'} on {subject.host}, pid {job.pid} {job.status.value}, "
        f"{'of plotman' if job.ours else 'not started by plotman'}",
        f"phase {job.phase or '?:?'}, {percent}, since {human_duration(age_s(job.started_at, farm.at))}, "
        f"ETA {eta}; mem {human_bytes(job.mem_bytes)}, user {human_duration(job.user_s)}, "
        f"sys {human_duration(job.sys_s)}, io {human_duration(job.iowait_s)}",
        f"tmp {job.tmp or '?'} ({human_bytes(job.tmp_used_bytes)})"
        + (f", tmp2 {job.tmp2}" if job.tmp2 else "")
        + f", dst {job.dst or '?'}",
        f"log {job.log or '?'}",
    ]
    if job.stalled:
        lines.insert(0, f"! stalled: {job.stalled}")
    return "\n".join(map(one_line, lines))


class PlotLog(Log):
    """Follows its end until the operator scrolls up.

    Textual's Log (8.2.8) always goes to its end, or never; it marks each new line for drawing by itself; and
    with `max_lines`, the text in view moves by as many lines as are dropped.
    """

    _writing = False

    def write(self, data: str, scroll_end: bool | None = None) -> Self:
        before, follows = len(self._lines) or 1, self.auto_scroll if scroll_end is None else scroll_end
        self._writing = True
        try:
            super().write(data, scroll_end=False)
        finally:
            self._writing = False
        dropped = before + data.count("\n") - len(self._lines)
        self.virtual_size = Size(self._width, self.line_count)
        if follows:
            self.scroll_end(animate=False, immediate=True, x_axis=False)
            self.refresh()
        elif dropped:
            self.scroll_relative(y=-dropped, animate=False, immediate=True)
        return self

    @property
    def rich_style(self) -> Style:
        """Known, where Textual computes it for each line that is drawn."""
        return self.visual_style.rich_style

    def refresh_lines(self, y_start: int, line_count: int = 1) -> None:
        if not self._writing:
            super().refresh_lines(y_start, line_count)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self.auto_scroll = new_value >= self.max_scroll_y or (self.auto_scroll and new_value >= old_value)


class Details(ScreenBehind):
    """A screen. Its keys suspend, resume and kill the plot that it shows."""

    DEFAULT_CSS = """
    Details #facts { height: auto; max-height: 50%; background: $panel; padding: 0 1; }
    Details #timeline { background: $panel; }
    Details Log { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter", "close", "Back"),
        Binding("s", "app.command('suspend_plot')", "Suspend"),
        Binding("r", "app.command('resume_plot')", "Resume"),
        Binding("x,delete", "app.command('kill_plot')", "Kill"),
        Binding("up", "scroll(-1)", "Up", show=False),
        Binding("down", "scroll(1)", "Down", show=False),
        Binding("end", "to_end", "Follow", show=False),
    ]

    def __init__(self, subject: RowSubject, asker: Asker) -> None:
        super().__init__()
        self.subject = subject
        self._asker = asker
        self._left = threading.Event()
        self._shown = ""
        # Attributes, not queried: text may arrive while Textual removes the widgets.
        self._facts = Static(id="facts", markup=False)
        self._timeline = Lines(id="timeline")
        self._log = PlotLog(max_lines=_LOG_KEPT, auto_scroll=True)

    def compose(self) -> ComposeResult:
        with Vertical():
            yield self._facts
            yield self._timeline
            yield self._log
            yield KeyFooter(show_command_palette=False)

    def on_mount(self) -> None:
        self._log.can_focus = True
        self._log.focus()
        start_thread("dashboard-log", self._poll_log, self.app)

    def on_unmount(self) -> None:
        self._left.set()

    def show(self, farm: FarmState, courses: Courses) -> None:
        """Show the plot as it is in `farm`, and how long its phases took."""
        plotter = farm.plotters.get(self.subject.host)
        jobs = plotter.jobs if plotter else ()
        job = next((job for job in jobs if job.task_id == self.subject.what), None)
        rows = timeline.lines(courses, self.subject, job, farm, self.size.width) if job else ()
        if self._timeline.is_attached and self.size.height > _LOW:
            self._timeline.show(rows)
        text = facts(farm, self.subject, job)
        if text != self._shown and self._facts.is_attached:
            before, self._shown = self._shown, text
            self._facts.update(text, layout=_line_lengths(text) != _line_lengths(before))

    def action_close(self) -> None:
        if self.is_active:  # a second Esc may have been typed before the first took effect
            self.app.pop_screen()

    def action_scroll(self, lines: int) -> None:
        self._log.scroll_relative(y=lines, animate=False)

    def action_to_end(self) -> None:
        self._log.scroll_end(animate=False)

    # Runs in a thread of its own until the screen closes. Only `_write` touches widgets, in Textual's thread.

    def _poll_log(self, app: App[Any]) -> None:
        question: dict[str, Any] = {"plot": self.subject.what, "lines": _LINES}
        wait_s = 0.0
        while not self._left.is_set():
            asked = TaskCall(names.LOG, self.subject.host, question)
            try:
                (answer,) = self._asker([asked], timeout_s=wait_s + _ANSWER_S)
            except PlotmanError as error:
                answer = error
            if isinstance(answer, PlotmanError):
                self._append(app, f"-- {answer}\n")
                if not _may_recover(answer):
                    return
                self._left.wait(_RETRY_S)
                continue
            if skipped_bytes := answer.get("skipped_bytes", 0):  # 0: a plotter of an older plotman
                self._append(app, f"-- {human_bytes(skipped_bytes)} left out; plotman logs prints all\n")
            self._append(app, answer["text"])
            if answer["ended"]:
                self._append(app, "-- the plot has ended\n")
                return
            self._left.wait(_PACE_S)
            wait_s = _WAIT_S
            question = {
                "plot": self.subject.what,
                "lines": _LINES,
                "offset_bytes": answer["offset_bytes"],
                "wait_s": wait_s,
            }

    def _append(self, app: App[Any], text: str) -> None:
        if text and not self._left.is_set():
            call_soon(app, self._write, text)

    def _write(self, text: str) -> None:
        if self._log.is_attached:
            self._log.write(log_text(text).expandtabs())


def _line_lengths(text: str) -> list[int]:
    """Where they stay, the height stays: a layout would draw the whole screen each second."""
    return [len(line) for line in text.split("\n")]


def _may_recover(error: PlotmanError) -> bool:
    """Whether a retry may succeed: a host or broker restarts."""
    from common.errors import ExitCode

    return error.exit_code is ExitCode.UNREACHABLE
