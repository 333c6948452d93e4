"""The quick start: writes the config, runs `plotman up`, waits for the plots."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote

from rich.console import Console

from common.errors import PlotmanError
from common.model.units import counted
from common.names import PAUSE
from plotman.cli.console import as_text
from plotman.control.farm import FarmState
from plotman.control.rpc import TaskCall, ask_each
from plotman.quickstart import new_plots
from plotman.quickstart.chia import ChiaHome
from plotman.quickstart.progress import Progress, read_progress, result_table
from plotman.quickstart.replacing import replace_old_plots
from plotman.quickstart.settings import Layout, plotman_yaml
from plotman.quickstart.up import UpProcess, first_contact
from plotman.quickstart.watch import Watch, print_lines
from plotman.supervisor.broker import free_port, is_free
from plotman.supervisor.locks import InstanceLock
from plotter_worker.processes.table import ProcessTable
from plotter_worker.state.operator import OperatorStateFile

_ANSWER_S = 30.0
_FAILURES_MAX = 3  # failed plots that are replaced


@dataclass(frozen=True)
class Request:
    """farm: folder, an absolute path. plots: number to make. k: their size. chia: path of the program.
    stay: the farm runs on when they are made, until Ctrl-C. replot: plots of the new proof of space then take
    the place of all old ones."""

    farm: Path
    plots: int
    k: int
    chia: Path
    stay: bool = False
    replot: bool = False


def quickstart(request: Request, console: Console) -> None:
    """Make the plots and show them. Raises PlotmanError unless every one of them gets to a drive."""
    layout = Layout(request.farm)
    if request.replot:
        new_plots.must_be_possible()
    flower_port = prepare(request, layout, console)
    os.environ["PLOTMAN_CONFIG"] = str(layout.config)
    # Before the worker starts, so that it never starts a plot too many.
    OperatorStateFile(layout.state).change(
        lambda state: state.unpaused().pausing_after(request.plots, "the quick start")
    )
    since = datetime.now(UTC)
    console.print(f"Starting the farm in {layout.root}; its log: {layout.logs / 'up.log'}", soft_wrap=True)
    console.print(f"Its web page, while it runs: http://127.0.0.1:{flower_port}/farm", soft_wrap=True)
    if taken_up := taken_up_text(layout):
        print_lines(console, taken_up)
    with UpProcess(layout) as up, closing(first_contact(up)) as at:
        watch = Watch(at, up, console, since)
        progress = Run(layout, watch, since, request.plots).wait()
        width = console.width if console.is_terminal else None
        print_lines(console, "", as_text(result_table(progress.landed), width), "")
        made = counted(len(progress.landed), "plot")
        print_lines(console, f"{made} made, moved and verified. Farm: {layout.root}")
        if request.replot:
            replaced = replace_old_plots(watch, layout, request.k)
            print_lines(console, "", as_text(replaced.table, width), "", replaced.sentence)
        print_lines(console, "", *_next_steps(layout, runs=request.stay))
        if request.stay:
            print_lines(console, "", "The farm runs, and starts no plot by itself. Ctrl-C stops it.")
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
    others = _running(layout, own=False)
    text = plotman_yaml(layout, chia.wrapper, chia.new_keys(), request.k, port, others, request.replot)
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


@dataclass
class Run:
    """since: aware time of the beginning. wanted: number of plots. ordered: starts that were allowed."""

    layout: Layout
    watch: Watch
    since: datetime
    wanted: int
    ordered: int = field(init=False)

    def __post_init__(self) -> None:
        self.ordered = self.wanted

    def wait(self) -> Progress:
        """Until every plot is on a drive. Raises PlotmanError if that will not happen."""
        progress = Progress((), {})

        def step(farm: FarmState) -> str | None:
            nonlocal progress
            progress = read_progress(self.layout.state, self.since)
            if self._done(progress):
                return None
            self._check_failures(farm, progress)
            return f"{len(progress.landed)} of {counted(self.wanted, 'plot')} on drives"

        self.watch.until(step)
        return progress

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
