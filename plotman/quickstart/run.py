"""The quick start: writes the config, runs `plotman up`, waits for the plots."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from types import TracebackType
from typing import Any, NoReturn, Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from common.errors import BrokerError, PlotmanError
from common.model.text import on_terminal
from common.model.units import counted
from common.names import PAUSE
from common.store import Board
from common.store.connection import TIMEOUT_S
from plotman.cli.console import as_text
from plotman.cli.watch import status_text
from plotman.control.farm import FarmState, board, read_farm
from plotman.control.queries.event_text import event_text
from plotman.control.queries.scheduler_status import waits
from plotman.control.rpc import TaskCall, ask_each
from plotman.quickstart.chia import ChiaHome
from plotman.quickstart.progress import Progress, read_progress, result_table
from plotman.quickstart.settings import Layout, plotman_yaml
from plotman.supervisor.broker import free_port, is_free
from plotman.supervisor.locks import InstanceLock
from plotman.supervisor.logs import last_lines, open_log
from plotter_worker.processes.table import ProcessTable
from plotter_worker.state.operator import OperatorStateFile

_STOP_S = 60.0  # `plotman up` needs less to kill what does not stop
_LOOK_S = 0.5
_BROKER_S = 60.0  # until the broker's first answer
_STALL_S = 900.0  # without any change
_ANSWER_S = 30.0
_FAILURES_MAX = 3  # failed plots that are replaced


@dataclass(frozen=True)
class Request:
    """farm: folder, an absolute path. plots: number to make. k: their size. chia: path of the program.
    stay: the farm runs on when they are made, until Ctrl-C."""

    farm: Path
    plots: int
    k: int
    chia: Path
    stay: bool = False


def quickstart(request: Request, console: Console) -> None:
    """Make the plots and show them. Raises PlotmanError unless every one of them gets to a drive."""
    layout = Layout(request.farm)
    flower_port = prepare(request, layout, console)
    os.environ["PLOTMAN_CONFIG"] = str(layout.config)
    # Before the worker starts, so that it never starts a plot too many.
    OperatorStateFile(layout.state).change(lambda state: state.unpaused().pausing_after(request.plots))
    since = datetime.now(UTC)
    console.print(f"Starting the farm in {layout.root}; its log: {layout.logs / 'up.log'}", soft_wrap=True)
    console.print(f"Its web page, while it runs: http://127.0.0.1:{flower_port}/farm", soft_wrap=True)
    if taken_up := taken_up_text(layout):
        _print(console, taken_up)
    with UpProcess(layout) as up, closing(first_contact(up)) as at:
        progress = Run(layout, at, up, console, since, request.plots).wait()
        width = console.width if console.is_terminal else None
        _print(console, "", as_text(result_table(progress.landed), width), "")
        made = counted(len(progress.landed), "plot")
        _print(console, f"{made} made, moved and verified. Farm: {layout.root}")
        _print(console, "", *_next_steps(layout, runs=request.stay))
        if request.stay:
            _print(console, "", "The farm runs, and starts no plot by itself. Ctrl-C stops it.")
            up.outlast()


def prepare(request: Request, layout: Layout, console: Console) -> int:
    """Create folders, chia's home, keys and plotman.yaml. Returns Flower's port. Raises PlotmanError."""
    try:
        layout.create()
    except OSError as error:
        raise PlotmanError(
            f"The farm's folders in {layout.root} cannot be made: {error}.", "Choose another folder: --farm."
        ) from error
    InstanceLock(layout.state).release()  # fails if this farm runs: its plotman.yaml must not change
    console.print(f"Preparing chia in {layout.chia} ...", soft_wrap=True)
    chia = ChiaHome(request.chia, layout.chia)
    chia.prepare()
    port = 5555 if is_free(5555) else free_port()
    text = plotman_yaml(layout, chia.wrapper, chia.new_keys(), request.k, port, _running(layout, own=False))
    layout.config.write_text(text, encoding="utf-8")
    return port


def taken_up_text(layout: Layout) -> str | None:
    """Say what an earlier run in this folder left and this one takes up; None if there is nothing."""
    running = _running(layout, own=True)
    finished = sum(path.suffix == ".plot" for folder in layout.dst for path in folder.iterdir())
    left = [
        *([f"{counted(running, 'plot')} still running"] if running else []),
        *([f"{counted(finished, 'plot')} to be moved"] if finished else []),
    ]
    return f"Taken up from before: {' and '.join(left)}." if left else None


def _running(layout: Layout, *, own: bool) -> int:
    """Count the plotters on this machine that belong to this farm, or that do not."""
    tmp = set(map(str, layout.tmp))
    return sum((one.command.tmp in tmp) is own for one in ProcessTable().newcomers(known=set()))


def first_contact(up: UpProcess) -> Board:
    """Wait for the broker of `plotman up`. Raises PlotmanError if it does not answer."""
    deadline_s = time.monotonic() + _BROKER_S
    while time.monotonic() < deadline_s:
        up.must_run()
        with suppress(BrokerError):
            at = board(TIMEOUT_S)
            try:
                at.ping()
            except BrokerError:
                at.close()
            else:
                return at
        time.sleep(_LOOK_S)
    raise PlotmanError(f"The broker does not answer within {_BROKER_S:.0f} s.", f"See {up.log}.")


class UpProcess:
    """Context manager: `plotman up` of this farm runs inside it. Its output goes to the file `log`."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.log = layout.logs / "up.log"

    def __enter__(self) -> Self:
        log = open_log(self.log)
        try:
            # exec_with_pdeathsig: it ends also if the quick start is killed. A session of its own: Ctrl-C
            # reaches the quick start only.
            self._process = subprocess.Popen(
                (
                    *(sys.executable, "-P", "-m", "plotman.supervisor.exec_with_pdeathsig", str(os.getpid())),
                    *(sys.executable, "-P", "-m", "plotman", "up", "-c", str(self._layout.config)),
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        finally:
            os.close(log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)  # a second one makes it stop at once
            try:
                self._process.wait(_STOP_S)
            except KeyboardInterrupt:
                continue
            except subprocess.TimeoutExpired:
                self._process.kill()

    def outlast(self) -> NoReturn:
        """Wait for its end, which Ctrl-C brings. Raises PlotmanError if it ends by itself."""
        while True:
            self.must_run()
            time.sleep(_LOOK_S)

    def must_run(self) -> None:
        """Raise PlotmanError with the last lines of its log if it has ended."""
        returncode = self._process.poll()
        if returncode is not None:
            lines = "\n".join(last_lines(self.log, 10))
            raise PlotmanError(f"`plotman up` ended ({returncode}):\n{lines}", f"See {self.log}.")


@dataclass
class Run:
    """since: aware time of the beginning. wanted: number of plots. ordered: starts that were allowed."""

    layout: Layout
    board: Board
    up: UpProcess
    console: Console
    since: datetime
    wanted: int
    ordered: int = field(init=False)

    def __post_init__(self) -> None:
        self.ordered = self.wanted
        self._state: object = None
        self._changed_s = time.monotonic()

    def wait(self) -> Progress:
        """Until every plot is on a drive. Raises PlotmanError if that will not happen."""
        # Event ids are times: this one leaves out the events of earlier runs.
        after = f"{int(self.since.timestamp() * 1000)}-0"
        known: dict[Any, Any] = {}
        with Live(console=self.console, auto_refresh=False, transient=True) as live:
            while True:
                self.up.must_run()
                try:
                    for event_id, event in self.board.events(after, wait_s=_LOOK_S):
                        after = event_id
                        if event.kind != "plot-phase":
                            _print(self.console, f"{event.at.astimezone():%H:%M:%S} {event_text(event)}")
                    farm = read_farm(self.board, known)
                except BrokerError:  # `plotman up` restarts the broker
                    time.sleep(_LOOK_S)
                    continue
                progress = read_progress(self.layout.state, self.since)
                if self.console.is_terminal:
                    live.update(self._picture(farm, progress), refresh=True)
                if self._done(progress):
                    return progress
                self._check_failures(farm, progress)
                self._check_change(farm, progress)

    def _done(self, progress: Progress) -> bool:
        """All plots on drives, and no source left: it is deleted last."""
        landed = progress.landed
        return len(landed) >= self.wanted and not any(Path(plot.path or "").is_file() for plot, _ in landed)

    def _check_failures(self, farm: FarmState, progress: Progress) -> None:
        """Start new plots for those that failed. Raises PlotmanError if too many failed."""
        failed = progress.failed
        if len(failed) > _FAILURES_MAX:
            raise PlotmanError(
                f"{counted(len(failed), 'plot')} failed, the last one because: {failed[-1].reason}",
                f"Their logs are in {self.layout.logs}.",
            )
        plotter = next(iter(farm.plotters.values()), None)
        if plotter is None or plotter.at < self.since:
            return
        if plotter.failures.consecutive >= plotter.failure_limit:
            raise PlotmanError(
                f"The plotter does not work: {plotter.failures.last_reason}",
                f"Its logs are in {self.layout.logs}.",
            )
        if missing := progress.missing(self.wanted, self.ordered):
            self.ordered += missing
            (answer,) = ask_each([TaskCall(PAUSE, plotter.host, {"after": missing})], timeout_s=_ANSWER_S)
            if isinstance(answer, PlotmanError):
                raise answer

    def _check_change(self, farm: FarmState, progress: Progress) -> None:
        """Raise PlotmanError if nothing has changed for _STALL_S."""
        state = (farm.jobs(), [archiver.transfers for archiver in farm.archivers.values()], progress)
        if state != self._state:
            self._state, self._changed_s = state, time.monotonic()
        elif time.monotonic() - self._changed_s > _STALL_S:
            reasons = "; ".join(dict.fromkeys(wait.reason for wait in waits(farm)))
            raise PlotmanError(
                f"Nothing has changed for {_STALL_S:.0f} s: {reasons or 'no reason is known'}.",
                f"See {self.up.log}.",
            )

    def _picture(self, farm: FarmState, progress: Progress) -> Group:
        head = f"{len(progress.landed)} of {counted(self.wanted, 'plot')} on drives"
        return Group(
            Text(head, style="bold"), Text.from_ansi(on_terminal(status_text(farm, self.console.width)))
        )


def _print(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(Text.from_ansi(on_terminal(line)), soft_wrap=True)


def _next_steps(layout: Layout, *, runs: bool) -> list[str]:
    """Lines to paste. runs: the farm runs meanwhile."""
    config, programs = quote(str(layout.config)), quote(str(Path(sys.executable).parent))
    export = f"  export PLOTMAN_CONFIG={config} PATH={programs}:$PATH"
    watch = "  plotman interactive   # watch and control it"
    if runs:
        unpause = "  plotman unpause plotting   # it makes plots until `plotman pause plotting`"
        return ["Try next, in another terminal:", export, watch, unpause]
    up = "  plotman up            # run this farm until Ctrl-C; `plotman unpause plotting` starts plots"
    return ["Try next:", export, up, f"{watch}, in another terminal (export first there, too)"]
