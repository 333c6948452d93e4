"""The buttons of the farm's page: each calls what the verb of its name calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from common import names
from common.errors import NoSuchPlot, PlotmanError
from common.model.text import log_text, one_line
from common.names import Role
from plotman.control.actions import holds, plots
from plotman.control.actions.holds import HoldAnswers
from plotman.control.farm import FarmState, NoSuchHost
from plotman.control.rpc import NoAnswer, hang_up
from plotman.control.selectors import PlotSelection

_LOG_LINES = 200
_LONGEST_LOG = 200_000  # characters
_REASON = "by Flower"


class NoSuchOrder(PlotmanError):
    """No button of the page sends this."""


@dataclass(frozen=True)
class Outcome:
    """What an order led to. ok: False: a host refused. text: a line for each host; of a log, its end."""

    ok: bool
    text: str


@dataclass(frozen=True)
class Order:
    """A button that was pressed, in the words of the browser: not checked yet.

    task_id: of a running plot. place: a directory or drive of the host; "": the host as a whole.
    """

    action: str
    host: str
    task_id: str = ""
    place: str = ""


def run(order: Order, farm: FarmState) -> Outcome:
    """Carry out the order and wait for the hosts' answers, up to a minute. Only for a thread that may wait.

    Raises:
        PlotmanError: the order is wrong, or the host cannot be asked.
    """
    action = _ACTIONS.get(order.action)
    if action is None:
        raise NoSuchOrder(f"There is no order {one_line(order.action, 40)}.")
    if not any(order.host in snapshots for snapshots in farm.snapshots.values()):
        raise NoSuchHost(f"No host is called {one_line(order.host, 80)}.")
    try:
        return action(order, farm)
    finally:
        hang_up()


def _hold(send: Callable[[Order], Sequence[HoldAnswers]]) -> Callable[[Order, FarmState], Outcome]:
    def action(order: Order, farm: FarmState) -> Outcome:  # noqa: ARG001
        answers = send(order)
        ok = not any(isinstance(answer.answer, PlotmanError) for answer in answers)
        return Outcome(ok, "\n".join(one_line(" ".join(str(answer.answer).split())) for answer in answers))

    return action


def _place(order: Order) -> list[str]:
    # `all` would be the whole farm, and a path one of this machine.
    if order.host == holds.EVERY or order.host.startswith("/"):
        raise NoSuchHost(f"No host is called {one_line(order.host, 80)}.")
    return [f"{order.host}:{order.place}" if order.place else order.host]


def _plot(order: Order, farm: FarmState) -> PlotSelection:
    """Return exactly this plot of this host: a task's id that another machine wrote is no selector."""
    for host, job in farm.jobs():
        if (host, job.task_id) == (order.host, order.task_id):
            if (Role.PLOTTER, host) in farm.stale:
                raise NoAnswer(f"{host} is silent.", f"Start `plotman up` on {host}.")
            return PlotSelection(host, job)
    raise NoSuchPlot(
        f"This plot does not run on {one_line(order.host, 80)} any more.", "Look at the page again."
    )


def _of_plot(task: str, words: str) -> Callable[[Order, FarmState], Outcome]:
    def action(order: Order, farm: FarmState) -> Outcome:
        selection = _plot(order, farm)
        (answer,) = plots.ask_about(task, [selection])
        if isinstance(answer.content, PlotmanError):
            raise answer.content
        return Outcome(True, f"{one_line(selection.host)}: plot {one_line(selection.name, 80)} {words}.")

    return action


def _log(order: Order, farm: FarmState) -> Outcome:
    log = plots.log_of(_plot(order, farm), _LOG_LINES)
    text = "".join(islice(plots.read_on(log, follow=False, warn=lambda _: None), 1))
    return Outcome(True, log_text(text[-_LONGEST_LOG:]) or "The log is empty.")


_ACTIONS: Mapping[str, Callable[[Order, FarmState], Outcome]] = {
    "pause": _hold(lambda order: holds.pause("plotting", order.host, reason=_REASON)),
    "unpause": _hold(lambda order: holds.unpause("plotting", order.host)),
    "drain": _hold(lambda order: holds.drain(_place(order), True, reason=_REASON)),
    "undrain": _hold(lambda order: holds.drain(_place(order), False)),
    "suspend": _of_plot(names.SUSPEND, "is suspended"),
    "resume": _of_plot(names.RESUME, "runs again"),
    "kill": _of_plot(names.KILL, "was killed, and its unfinished files were deleted"),
    "log": _log,
}
