"""The quick start from its first folder to its last plot."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from common import config as configuration
from common.config import Config
from common.config.broker_url import embedded_broker
from common.errors import BrokerError, PlotmanError
from common.model.units import counted
from common.names import PAUSE
from common.store import Board
from plotman.quickstart.chia import ChiaHome
from plotman.quickstart.display import Display, display_for
from plotman.quickstart.layout import Layout
from plotman.quickstart.look import Look, look
from plotman.quickstart.process import Up
from plotman.quickstart.report import rows, table
from plotman.quickstart.settings import plotman_yaml
from plotman.quickstart.tally import Tally
from plotman.quickstart.words import wait_words
from plotman.supervisor.instance_lock import InstanceLock
from plotter_worker.processes.table import ProcessTable
from plotter_worker.state.operator import OperatorStateFile

_LOOK_S = 0.2
_BROKER_S = 60.0  # how long the broker may take to answer for the first time
_STALL_S = 900.0  # how long nothing at all may change before we give up
_FAILURES_MAX = 3  # plots that may fail and be made again


@dataclass(frozen=True)
class Wish:
    """What was asked for. chia: the official program, to be called by its full path."""

    farm: Path
    plots: int
    k: int
    chia: Path


def quickstart(wish: Wish, console: Console) -> None:
    """Make the plots, and show them on the way. Raises PlotmanError unless every one lies on a drive."""
    layout = Layout(wish.farm.absolute())
    flower = lay_out(wish, layout, console)
    # The app and its processes read the same file.
    os.environ["PLOTMAN_CONFIG"] = str(layout.config)
    settings = configuration.load(layout.config)
    # Given before the worker is up, so that it never starts one too many.
    OperatorStateFile(layout.state).unpause()
    OperatorStateFile(layout.state).pause("", after=wish.plots)
    tally = Tally(since=datetime.now(UTC), wanted=wish.plots)
    console.print(f"Starting the farm in {layout.root}; its log: {layout.logs / 'up.log'}", soft_wrap=True)
    console.print(f"Flower, while it runs: http://127.0.0.1:{flower}", soft_wrap=True)
    with Up(layout) as up:
        board = first_contact(layout, up)
        with display_for(console) as display:
            seen = Watch(layout, settings, board, up, tally, display).until_done()
        found = rows(tally, seen.on_drives, result_of)
    console.print(table(found))
    console.print(
        f"{counted(len(found), 'plot')} made, moved and verified. The farm: {layout.root}", soft_wrap=True
    )


def lay_out(wish: Wish, layout: Layout, console: Console) -> int:
    """Folders, chia, keys and plotman.yaml; gives Flower's port. Raises PlotmanError."""
    layout.create()
    InstanceLock(layout.state).release()  # a farm that runs already keeps its plotman.yaml
    console.print(f"Preparing chia in {layout.chia} ...", soft_wrap=True)
    chia = ChiaHome(wish.chia, layout.chia)
    chia.prepare()
    port = free_port(5555)
    text = plotman_yaml(layout, chia.wrapper, chia.new_keys(), wish.k, port, others=plotters_beside(layout))
    layout.config.write_text(text, encoding="utf-8")
    return port


def plotters_beside(layout: Layout) -> int:
    """How many plotters run on this machine that are none of this farm's."""
    own = set(map(str, layout.tmp))
    return sum(one.command.tmp not in own for one in ProcessTable().newcomers(known=set()))


def free_port(preferred: int) -> int:
    """`preferred` if nobody holds it on 127.0.0.1, else one that is free now."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise PlotmanError("No port is free on 127.0.0.1.", "Stop something that listens there.")


def first_contact(layout: Layout, up: Up) -> Board:
    """The notice board, once the broker answers. Raises PlotmanError when it does not."""
    deadline_s = time.monotonic() + _BROKER_S
    while time.monotonic() < deadline_s:
        up.must_run()
        address = embedded_broker(layout.state)
        if address is not None:
            board = Board.connect(address.url)
            try:
                board.ping()
            except BrokerError:
                board.close()
            else:
                return board
        time.sleep(_LOOK_S)
    raise PlotmanError(f"The broker does not answer in {_BROKER_S:.0f} s.", f"See {layout.state / 'logs'}.")


@dataclass
class Watch:
    """Follows the farm until every plot of the run is on a drive."""

    layout: Layout
    settings: Config
    board: Board
    up: Up
    tally: Tally
    display: Display

    def until_done(self) -> Look:
        """The last look. Raises PlotmanError when the plots will not all come."""
        # Ids of events are times: nothing before this run concerns us.
        after = f"{int(self.tally.since.timestamp() * 1000)}-0"
        failed, changed_s, last = 0, time.monotonic(), None
        seen = Look()
        while True:
            self.up.must_run()
            try:
                for event_id, event in self.board.events(after, wait_s=_LOOK_S):
                    after = event_id
                    self.tally.hear(event)
                seen = look(self.board, self.layout)
            except BrokerError:  # `plotman up` brings it back
                time.sleep(_LOOK_S)
                continue
            self.tally.see(seen.jobs)
            self.display.show(seen, len(self.tally.landed(seen.on_drives)), self.tally.wanted)
            if self._done(seen):
                return seen
            if len(self.tally.failures) > failed:
                failed = len(self.tally.failures)
                self._replace_failed()
            if self.tally.halted:
                raise PlotmanError(self.tally.halted)
            if (seen.jobs, seen.transfers, seen.on_drives) != last:
                last, changed_s = (seen.jobs, seen.transfers, seen.on_drives), time.monotonic()
            elif time.monotonic() - changed_s > _STALL_S:
                why = "; ".join(wait_words(seen)) or "no reason is known"
                raise PlotmanError(f"Nothing moved for {_STALL_S:.0f} s: {why}.", f"See {self.up.log}.")

    def _done(self, seen: Look) -> bool:
        """All on drives, and no source left: that is deleted last."""
        landed = self.tally.landed(seen.on_drives)
        return len(landed) >= self.tally.wanted and not any(plot.plot_id in seen.in_dst for plot in landed)

    def _replace_failed(self) -> None:
        """Have as many plots started as failed. Raises PlotmanError when too many did."""
        self.display.say(self.tally.failures[-1])
        if len(self.tally.failures) > _FAILURES_MAX:
            raise PlotmanError(
                f"{counted(len(self.tally.failures), 'plot')} failed.",
                f"Their logs are in {self.layout.logs}.",
            )
        arguments = {"host": self.settings.host, "after": self.tally.to_start}
        _app().send_task(PAUSE, kwargs=arguments, ignore_result=True)


def result_of(task_id: str) -> dict[str, Any] | None:
    """What a task returned; None where it failed or its result is gone."""
    result = _app().AsyncResult(task_id)
    deadline_s = time.monotonic() + 5
    while not result.ready() and time.monotonic() < deadline_s:
        time.sleep(0.05)
    return result.result if result.successful() and isinstance(result.result, dict) else None


def _app() -> Any:
    # Late: it reads the plotman.yaml that has just been written.
    from plotman.app import app

    return app
