"""The plan of `plotman replot plan` in sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from beat.policy.replot.planner import ClassPlan
from beat.policy.replot.worth import fill
from common.model.units import counted, human_bytes
from common.system.chia_service import FULL_NODE
from plotman.control.queries.replot.node import Heights, NodeState
from plotman.control.queries.replot.plan import FAR_DAYS, PlanAnswer
from plotman.control.queries.replot.tables import NEVER, date_text, kept_beyond


def sentences(answer: PlanAnswer) -> Iterator[str]:
    """What the plan does, with its pace and its end."""
    if not answer.plan.plots:
        yield "No plot belongs to a class that may be replaced: every plot stays."
        return
    yield from _new_plots(answer)
    yield from _pace(answer)
    yield from _deadline(answer)
    if answer.mean_unchanged is not None:
        planned = "?" if answer.mean is None else f"{answer.mean:.1%}"
        yield (
            "In the mean of the 256 days after the fork, they farm this much of what they farm today: "
            f"{planned} if they are replaced, {answer.mean_unchanged:.1%} if they stay."
        )


def _new_plots(answer: PlanAnswer) -> Iterator[str]:
    new = sum(drive.new_plots for drive in answer.plan.drives)
    yield (
        f"{counted(answer.plan.plots, 'plot')} ({human_bytes(answer.plan.bytes)}) on "
        f"{counted(len(answer.plan.drives), 'drive')} would be replaced by up to "
        f"{counted(new, 'new k28 plot')}, which also use the free space above low water."
    )
    for one in answer.plan.classes:
        if one.plots:
            yield _fill(one)


def _fill(one: ClassPlan) -> str:
    freed_bytes = one.bytes // one.plots
    fit = fill(freed_bytes)
    freed = f"A plot of {one.old.name} frees {human_bytes(freed_bytes)}"
    if not fit.plots:
        return f"{freed}. A new k28 plot needs more than one of them."
    ways = [
        f"one group of {counted(fit.plots, 'new plot')}",
        *(f"{counted(number, 'group')} of {size}" for size, number in fit.groups),
        counted(fit.singles, "single plot"),
    ]
    return f"{freed}, room for {', or '.join(ways)}."


def _pace(answer: PlanAnswer) -> Iterator[str]:
    if answer.rate_bytes is None:
        yield f"The end is not known: {answer.rate_source}. Give a pace with --tb-per-day."
        return
    limit = answer.settings.max_per_day
    most = f", at most {counted(limit, 'old plot')} a day (replot.max_per_day)" if limit else ""
    yield f"Pace: {human_bytes(answer.rate_bytes)} a day, {answer.rate_source}{most}."
    if not answer.spans:
        return
    done = date_text(answer, answer.spans[-1].ends)
    if done == NEVER:
        yield f"The last of them would be replaced more than {FAR_DAYS // 365} years from now."
    else:
        yield f"All are replaced by {done}."


def _deadline(answer: PlanAnswer) -> Iterator[str]:
    gone = answer.gone_at
    if gone is None:
        yield (
            f"There are no dates, because the height of the fork is not known: {_unset(answer.heights)}. "
            "Once one is announced, write it as replot.fork_height."
        )
        return
    yield f"From {gone:%Y-%m-%d} on, the network accepts no proof of an old plot."
    if answer.needed_bytes is None:
        yield "There is no time left before that day."
    else:
        yield f"To be done by then needs {human_bytes(answer.needed_bytes)} a day."
    yield from _sources(answer)


def _unset(heights: Heights) -> str:
    if isinstance(heights.node, NodeState):
        return f"{FULL_NODE.name} names none"
    return "chia 2.7.5 has set none"


def _sources(answer: PlanAnswer) -> Iterator[str]:
    """Where the heights are from."""
    found, calendar = answer.heights, answer.calendar
    fork = {"setting": "replot.fork_height", "node": f"of {FULL_NODE.name}"}[found.fork_source or "setting"]
    height = {"option": "--height", "node": f"of {FULL_NODE.name}", "known": f"on {calendar.at:%Y-%m-%d}"}
    yield (
        f"The fork is at height {found.fork_height:,} ({fork}). Dates are computed from height "
        f"{calendar.height:,} ({height[found.height_source]}) and 4608 blocks a day."
    )
    if found.height_source == "known" and found.node is None:
        yield "With replot.chia_root, or --height and the height of your node, they are more exact."


def remarks(answer: PlanAnswer) -> Iterator[str]:
    """What the tables do not say."""
    yield from answer.heights.remarks
    for host, why in answer.missing.items():
        yield f"{host} is missing: {why}."
    for one in answer.hosts:
        if one.progress:
            yield f"{one.host}: {one.progress} so far."
    faults = sum(one.faults for one in answer.hosts)
    if faults:
        yield f"{counted(faults, 'file')} without a whole plot: see plotman inventory --files."
    for before, after in answer.plan.out_of_order:
        yield (
            f"{after.old.name} begins to pay earlier than {before.old.name}, which goes before it: write it "
            "first in replot.classes."
        )
    first, fork = answer.when.first_day, answer.when.fork_day
    if answer.plan.plots and first is not None and (fork is None or first < fork):
        yield "replot.start lets plots go before the fork: the new plots farm nothing until then."
    for short in answer.shortages:
        yield (
            f"{short.host} has {human_bytes(short.free_bytes)} free above low water, and should have "
            f"{human_bytes(short.needed_bytes)}: before an old plot goes, new ones with as many bytes must "
            "arrive. Free some space there, or it may wait for ever."
        )
    if answer.others:
        yield f"{counted(answer.others, 'more drive')} have plots that are replaced; see --drives."
    if more := kept_beyond(answer):
        yield f"{counted(more, 'more kind')} of plots stay; --json lists all of them."
    if answer.keeping and not answer.plan.plots:
        yield switch(answer.keeping)


def switch(hosts: tuple[str, ...]) -> str:
    """How to have the plots of these hosts in the plan: harvester.replot is off there."""
    return (
        f"No plot of {', '.join(hosts)} may be replaced. To have it in the plan, write `replot: true` into "
        "the section harvester of plotman.yaml there."
    )
