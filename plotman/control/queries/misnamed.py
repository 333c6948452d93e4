"""Where else a misnamed plot is: beside itself, on another plotter, or on a drive already."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

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
    """Harvester -> what it has of these plots, or the PlotmanError."""
    said = ask_many(names.FIND_PLOTS, hosts, plots=sorted(plot_ids), timeout_s=_ANSWER_S)
    return {host: _read(answer) for host, answer in said.items()}


def _read(answer: Any) -> PlotsFound | PlotmanError:
    if isinstance(answer, PlotmanError):
        return answer
    try:
        return PlotsFound.read(**answer)
    except (TypeError, PlotmanError):
        return PlotmanError("It gives no answer that can be read.")


def with_copies(
    farm: FarmState,
    answers: Iterable[WhyAnswer],
    ask: Callable[[Iterable[str], Iterable[str]], Mapping[str, PlotsFound | PlotmanError]] = ask_drives,
) -> list[WhyAnswer]:
    """Add to each answer about a misnamed plot where else that plot is. Asks the harvesters, and takes
    seconds, only where there is such a plot.

    Args:
        farm: What the notice board shows.
        answers: Those of `plotman why`.
        ask: Asks harvesters for plots; see ask_drives.
    """
    answers = list(answers)
    ids = {one.plot_id for one in answers if one.rule == PlotState.MISNAMED and one.plot_id}
    if not ids:
        return answers
    hosts = [host for host in farm.harvesters if (Role.HARVESTER, host) not in farm.stale]
    told = ask(hosts, ids) if hosts else {}
    silent = [host for host in farm.harvesters if host not in hosts]
    return [
        replace(one, text=f"{one.text}; {', '.join(_copies(farm, one, told, silent))}")
        if one.rule == PlotState.MISNAMED and one.plot_id
        else one
        for one in answers
    ]


def _copies(
    farm: FarmState, answer: WhyAnswer, told: Mapping[str, PlotsFound | PlotmanError], silent: Iterable[str]
) -> Iterator[str]:
    elsewhere = [
        f"{host}:{plot.path}"
        for host, snapshot in farm.plotters.items()
        for plot in snapshot.plots
        if plot.plot_id == answer.plot_id and (host, plot.path) != (answer.host, answer.subject)
    ]
    unknown = list(silent)
    on_drives = []
    for host, said in told.items():
        if isinstance(said, PlotmanError):
            unknown.append(host)
            continue
        on_drives += [f"{host}:{path}" for plot_id, path in said.found if plot_id == answer.plot_id]
        unknown += [f"{host}:{drive}" for drive in said.unread]
    yield from (f"{place} is the same plot by its id" for place in elsewhere)
    yield from (f"{place} has that id and is on its drive already" for place in on_drives)
    if unknown:
        yield f"not known of {', '.join(unknown)}"
    if not on_drives and not unknown:
        yield "no drive of a harvester has it" if told else "no harvester can be asked whether it has it"
