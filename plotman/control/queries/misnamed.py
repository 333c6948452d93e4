"""Other copies of a misnamed plot: on its plotter, on another plotter, or on a drive."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from common import names
from common.errors import PlotmanError
from common.model.messages import PlotsFound
from common.model.snapshot import PlotState
from common.names import Role
from plotman.control.farm import FarmState
from plotman.control.queries.why import WhyAnswer
from plotman.control.rpc import ask_many

_ANSWER_S = 6.0


def ask_drives(hosts: Iterable[str], plot_ids: Iterable[str]) -> dict[str, PlotsFound | PlotmanError]:
    """Ask harvesters for these plots; returns by host what it has of them, or the PlotmanError."""
    answers = ask_many(names.FIND_PLOTS, hosts, plots=sorted(plot_ids), timeout_s=_ANSWER_S)
    return {
        host: answer
        if isinstance(answer, PlotmanError)
        else PlotsFound(found=answer["found"], unread=answer["unread"])
        for host, answer in answers.items()
    }


def with_copies(
    farm: FarmState,
    answers: Iterable[WhyAnswer],
    ask: Callable[[Iterable[str], Iterable[str]], Mapping[str, PlotsFound | PlotmanError]] = ask_drives,
) -> list[WhyAnswer]:
    """Add the other copies to each answer about a misnamed plot.

    Asks the harvesters, which takes seconds, only if there is such a plot.
    """
    answers = list(answers)
    ids = {one.plot_id for one in answers if one.rule == PlotState.MISNAMED and one.plot_id}
    if not ids:
        return answers
    hosts = [host for host in farm.harvesters if (Role.HARVESTER, host) not in farm.stale]
    found = ask(hosts, ids) if hosts else {}
    silent = [host for host in farm.harvesters if host not in hosts]
    return [
        replace(one, text=f"{one.text}; {', '.join(_copies(farm, one, found, silent))}")
        if one.rule == PlotState.MISNAMED and one.plot_id
        else one
        for one in answers
    ]


def _copies(
    farm: FarmState, answer: WhyAnswer, found: Mapping[str, PlotsFound | PlotmanError], silent: Iterable[str]
) -> Iterator[str]:
    elsewhere = [
        f"{host}:{plot.path}"
        for host, snapshot in farm.plotters.items()
        for plot in snapshot.plots
        if plot.plot_id == answer.plot_id and (host, plot.path) != (answer.host, answer.subject)
    ]
    unknown = list(silent)
    on_drives = []
    for host, plots in found.items():
        if isinstance(plots, PlotmanError):
            unknown.append(host)
            continue
        on_drives += [f"{host}:{path}" for plot_id, path in plots.found if plot_id == answer.plot_id]
        unknown += [f"{host}:{drive}" for drive in plots.unread]
    yield from (f"{place} is the same plot by its id" for place in elsewhere)
    yield from (f"{place} has that id and is on its drive already" for place in on_drives)
    if unknown:
        yield f"not known of {', '.join(unknown)}"
    if not on_drives and not unknown:
        yield "no drive of a harvester has it" if found else "no harvester can be asked whether it has it"
