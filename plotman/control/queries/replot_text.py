"""The plan of `plotman replot plan` as tables, sentences and JSON, and an example of `replot`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from beat.policy.replot.planner import Amount, ClassPlan, PlotGroup
from beat.policy.replot.worth import KNOWN_AT, KNOWN_HEIGHT, fill, height_after, weight_per_byte
from common.model.plot_class import PlotClass
from common.model.plots_in_words import class_text, pool_text
from common.model.replot import why_never
from common.model.text import one_line
from common.model.units import counted, human_bytes, sparkline
from plotman.control.queries.replot import FirstPlot, PlanAnswer, gone_at
from plotman.control.queries.tables import PlainTable

_UNKNOWN, _NEVER = "?", "never"
_FAR_DAYS = 100_000  # from here on a date is "never"
_EXAMPLES_MOST = 32


def classes_table(answer: PlanAnswer) -> PlainTable:
    """The classes in their order."""
    numbered = list(enumerate(answer.plan.classes))
    return PlainTable.of(
        numbered,
        {
            "class": lambda row: row[1].old.name,
            "plots": lambda row: f"{row[1].plots:,}",
            "size": lambda row: human_bytes(row[1].bytes),
            "drives": lambda row: f"{row[1].drives:,}",
            "worth per byte": lambda row: f"{row[1].weight:.2f}" if row[1].plots else "",
            "pays from": lambda row: _pays_from(answer, row[1]),
            "begins": lambda row: _span(answer, row[0], True),
            "ends": lambda row: _span(answer, row[0], False),
        },
        title="What is replaced, in this order",
        right=frozenset({"plots", "size", "drives", "worth per byte"}),
        spare=("drives", "worth per byte"),
    )


def _pays_from(answer: PlanAnswer, one: ClassPlan) -> str:
    if not one.plots:
        return ""
    if answer.when.fork_day is None:
        return "the fork" if not one.due_days else f"fork + {counted(one.due_days, 'day')}"
    assert answer.settings.fork_height is not None
    height = height_after(answer.settings.fork_height, one.due_epochs)
    return f"{answer.calendar.date_of(height):%Y-%m-%d}"


def _span(answer: PlanAnswer, number: int, begins: bool) -> str:
    if not answer.plan.classes[number].plots:
        return ""
    if answer.spans is None:
        return _UNKNOWN
    span = answer.spans[number]
    return _date(answer, span.begins if begins else span.ends)


def _date(answer: PlanAnswer, day: float) -> str:
    # Beyond any calendar at the pace of a farm that makes a plot in a year.
    return f"{answer.date_of(day):%Y-%m-%d}" if abs(day) < _FAR_DAYS else _NEVER


def kept_table(answer: PlanAnswer) -> PlainTable:
    """What stays, and why."""
    return PlainTable.of(
        answer.plan.kept,
        {
            "plots": lambda kept: f"{kept.plots:,}",
            "size": lambda kept: human_bytes(kept.bytes),
            "class": lambda kept: class_text(kept.plot_class),
            "pool": lambda kept: pool_text(kept.plot_class),
            "why it stays": lambda kept: kept.why,
        },
        title="What stays",
        right=frozenset({"plots", "size"}),
        spare=("pool",),
    )


def first_table(answer: PlanAnswer) -> PlainTable:
    """The plots that go first on each drive."""
    names = [one.old.name for one in answer.plan.classes]

    def first(one: FirstPlot) -> str:
        return "first" if one.at_once else "later"

    return PlainTable.of(
        answer.first,
        {
            "turn": first,
            "class": lambda one: names[one.victim.number],
            "size": lambda one: human_bytes(one.victim.size_bytes),
            "host": lambda one: one.victim.place[0],
            "plot": lambda one: f"{one.victim.place[1]}/{one.victim.name}",
        },
        title="What goes first on each drive",
        right=frozenset({"size"}),
        paths=frozenset({"plot"}),
    )


def sentences(answer: PlanAnswer) -> Iterator[str]:
    """The plan in sentences."""
    if not answer.plan.plots:
        yield "No plot belongs to a class that may be replaced: every plot stays."
        return
    yield from _new_plots(answer)
    yield from _paces(answer)
    if answer.mean_unchanged is not None:
        unchanged = f"{answer.mean_unchanged:.1%}"
        planned = "?" if answer.mean is None else f"{answer.mean:.1%}"
        yield (
            f"In the 256 days after the fork these plots and their successors farm {planned} of what the old "
            f"plots farm today; if nothing is replaced, {unchanged}."
        )


def _new_plots(answer: PlanAnswer) -> Iterator[str]:
    new = sum(drive.new_plots for drive in answer.plan.drives)
    yield (
        f"{counted(answer.plan.plots, 'plot')} ({human_bytes(answer.plan.bytes)}) on "
        f"{counted(len(answer.plan.drives), 'drive')} would be replaced. New k28 plots that fit in their "
        f"place, and into the free space above low water: {new:,}."
    )
    for one in answer.plan.classes:
        if one.plots:
            yield _fill(one)


def _fill(one: ClassPlan) -> str:
    freed_bytes = one.bytes // one.plots
    fit = fill(freed_bytes)
    name = f"A plot of {one.old.name} frees {human_bytes(freed_bytes)}"
    if not fit.plots:
        return f"{name}, less than a new k28 plot takes: several go for one."
    ways = [
        f"a group of {counted(fit.plots, 'plot')}",
        *(f"{counted(number, 'group')} of {size}" for size, number in fit.groups),
        counted(fit.singles, "single plot"),
    ]
    return f"{name}: {' or '.join(ways)}."


def _paces(answer: PlanAnswer) -> Iterator[str]:
    if answer.rate_bytes is None:
        yield f"When it is done is not known: {answer.rate_source}. Name a pace with --tb-per-day."
    else:
        limit = answer.settings.max_per_day
        most = f", at most {counted(limit, 'old plot')} a day (replot.max_per_day)" if limit else ""
        done = _date(answer, answer.spans[-1].ends) if answer.spans else None
        end = f": all are replaced by {done}" if done not in (None, _NEVER) else ""
        yield f"Pace: {human_bytes(answer.rate_bytes)} a day, {answer.rate_source}{most}{end}."
        if done == _NEVER:
            yield f"The last of them would be replaced more than {_FAR_DAYS // 365} years from now."
    gone = gone_at(answer)
    if gone is None:
        yield (
            "When the fork comes is not known, so no dates are. chia 2.7.5 has set no height; once one is "
            "announced, write it as replot.fork_height."
        )
    elif answer.needed_bytes is None:
        yield f"Proofs of old plots count no more from {gone:%Y-%m-%d} on: there is no time left before it."
    else:
        yield (
            f"Proofs of old plots count no more from {gone:%Y-%m-%d} on. To be done by then takes "
            f"{human_bytes(answer.needed_bytes)} a day."
        )
    if gone is not None and not answer.calendar.given:
        yield (
            f"Dates are reckoned from height {KNOWN_HEIGHT:,} on {KNOWN_AT:%Y-%m-%d} and 4608 blocks a day: "
            "see --height."
        )


def chart_lines(answer: PlanAnswer) -> Iterator[str]:
    """The weight of old and new plots over time; nothing if the fork is not known."""
    chart = answer.chart
    if chart is None or not chart.planned:
        return
    rows = {
        "old": [weight.old for weight in chart.planned],
        "new": [weight.new for weight in chart.planned],
        "both": [weight.sum for weight in chart.planned],
        "unchanged": [weight.sum for weight in chart.unchanged],
    }
    if answer.spans is None:
        rows = {"unchanged": rows["unchanged"]}
    top = max(1.0, *(max(row) for row in rows.values()))
    begin, end = (_date(answer, day) for day in (chart.days[0], chart.days[-1]))
    per_column = (chart.days[-1] - chart.days[0]) / (len(chart.days) - 1)
    yield (
        f"What these plots and their successors farm, from {begin} to {end}, {per_column:.1f} days a column "
        "(highest: as the old plots today)"
    )
    for name, row in rows.items():
        yield f"{name:<10}{sparkline(row, top)}"


def remarks(answer: PlanAnswer) -> Iterator[str]:
    """What the tables do not say."""
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
        yield "replot.start lets plots go before the fork: until then their successors farm nothing."
    if answer.others:
        yield f"{counted(answer.others, 'more drive')} have plots that are replaced; see --drives."


def as_dict(answer: PlanAnswer) -> dict[str, Any]:
    """`plotman replot plan --json`: documented in docs/cli.md; keys are only ever added."""
    gone = gone_at(answer)
    fork = None if answer.when.fork_day is None else answer.date_of(answer.when.fork_day).isoformat()
    return {
        "version": 1,
        "configured": True,
        "updated": answer.at.isoformat(),
        "plots": answer.plan.plots,
        "bytes": answer.plan.bytes,
        "fork_height": answer.settings.fork_height,
        "fork_at": fork,
        "gone_at": gone and gone.isoformat(),
        "v2_weight": answer.settings.v2_weight,
        "rate_bytes_per_day": answer.rate_bytes,
        "rate_source": answer.rate_source,
        "needed_bytes_per_day": answer.needed_bytes,
        "mean_weight": answer.mean,
        "mean_weight_unchanged": answer.mean_unchanged,
        "classes": [_class_dict(answer, number) for number in range(len(answer.plan.classes))],
        "drives": [
            {
                "host": drive.place[0],
                "drive": drive.place[1],
                "plots": sum(amount.plots for _, amount in drive.classes),
                "freed_bytes": drive.freed_bytes,
                "free_bytes": drive.free_bytes,
                "low_water_bytes": drive.low_water_bytes,
                "new_plots": drive.new_plots,
                "free_after_bytes": drive.free_after_bytes,
            }
            for drive in answer.plan.drives
        ],
        "kept": [
            {
                "why": kept.why,
                "plots": kept.plots,
                "bytes": kept.bytes,
                "plot_class": kept.plot_class.model_dump(mode="json"),
            }
            for kept in answer.plan.kept
        ],
        "first": [
            {
                "host": one.victim.place[0],
                "drive": one.victim.place[1],
                "name": one.victim.name,
                "size_bytes": one.victim.size_bytes,
                "class": answer.plan.classes[one.victim.number].old.name,
                "first_turn": one.at_once,
            }
            for one in answer.first
        ],
        "weights": _weight_dicts(answer),
        "missing": [{"host": host, "why": why} for host, why in answer.missing.items()],
    }


def _class_dict(answer: PlanAnswer, number: int) -> dict[str, Any]:
    one = answer.plan.classes[number]
    span = answer.spans[number] if answer.spans and one.plots else None
    fit = fill(one.bytes // one.plots) if one.plots else None
    fork_height = answer.settings.fork_height
    return {
        "class": one.old.name,
        "plots": one.plots,
        "bytes": one.bytes,
        "drives": one.drives,
        "weight": one.weight,
        "due_days_after_fork": one.due_days if one.plots else None,
        "due_height": height_after(fork_height, one.due_epochs) if fork_height and one.plots else None,
        "begins_at": span and _iso(answer, span.begins),
        "ends_at": span and _iso(answer, span.ends),
        "new_plots_for_one": fit and fit.plots,
    }


def _iso(answer: PlanAnswer, day: float) -> str | None:
    return answer.date_of(day).isoformat() if abs(day) < _FAR_DAYS else None


def _weight_dicts(answer: PlanAnswer) -> list[dict[str, Any]]:
    chart = answer.chart
    if chart is None:
        return []
    return [
        {"at": _iso(answer, weight.day), "old": weight.old, "new": weight.new, "unchanged": unchanged.old}
        for weight, unchanged in zip(chart.planned, chart.unchanged, strict=True)
    ]


def example(found: Iterable[PlotGroup]) -> str:
    """The section `replot` for plotman.yaml, with a class for each kind of plots that could be replaced.

    All classes are commented out: as it stands, no plot may be replaced.

    found: the plots of the farm.
    """
    sums: dict[tuple[object, ...], tuple[PlotClass, Amount]] = {}
    for group in found:
        of = group.plot_class
        if why_never(of) is None and group.plots > 0 and group.bytes > 0:
            # chiapos' and bladebit's uncompressed plots are one class, as no key tells them apart.
            _, amount = sums.setdefault((of.k, of.compression, of.pool_key), (of, Amount()))
            amount.add(group.plots, group.bytes)
    lines = ["replot:", "  classes:"]
    if not sums:
        lines.append("    # The harvesters have no plots that could be replaced.")
    ordered = sorted(sums.values(), key=lambda pair: _worth(*pair))
    for number, (of, amount) in enumerate(ordered[:_EXAMPLES_MOST], 1):
        lines += _example_class(number, of, amount)
    lines += [
        "  #fork_height: 11000000  # once it is announced; chia 2.7.5 has set none",
        "  #low_water_bytes: 110000000000",
    ]
    return "\n".join(lines) + "\n"


def _worth(of: PlotClass, amount: Amount) -> float:
    return weight_per_byte(of.k or 0, amount.plots, amount.bytes)


def _example_class(number: int, of: PlotClass, amount: Amount) -> Iterator[str]:
    text = one_line(f"{class_text(of)}, {pool_text(of)}")
    plots = f"{counted(amount.plots, 'plot')} ({human_bytes(amount.bytes)})"
    yield f"    # {plots}: {text}; worth {_worth(of, amount):.2f} per byte"
    keys = {"k": of.k, "compression": of.compression, "pool_key": of.pool_key}
    name = f"{number}-k{of.k}-c{of.compression}"
    for line in yaml.safe_dump({name: keys}, sort_keys=False, width=1000).splitlines():
        yield f"    #{line}"
