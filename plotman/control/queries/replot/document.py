"""The plan of `plotman replot plan --json`. Pure."""

from __future__ import annotations

from typing import Any

from beat.policy.replot.worth import fill, height_after
from common.system.chia_service import ChiaSilent
from plotman.control.queries.replot.node import NodeState
from plotman.control.queries.replot.plan import PlanAnswer


def as_dict(answer: PlanAnswer) -> dict[str, Any]:
    """`plotman replot plan --json`: documented in docs/cli.md; keys are only ever added."""
    gone, fork = answer.gone_at, answer.when.fork_day
    return {
        "version": 1,
        "configured": True,
        "updated": answer.at.isoformat(),
        "plots": answer.plan.plots,
        "bytes": answer.plan.bytes,
        "height": answer.calendar.height,
        "height_at": answer.calendar.at.isoformat(),
        "height_source": answer.heights.height_source,
        "fork_height": answer.heights.fork_height,
        "fork_source": answer.heights.fork_source,
        "node": _node_dict(answer.heights.node),
        "fork_at": None if fork is None else _iso(answer, fork),
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
                "host": drive.drive.host,
                "drive": drive.drive.path,
                "plots": drive.plots,
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
                "host": one.victim.drive.host,
                "drive": one.victim.drive.path,
                "name": one.victim.name,
                "size_bytes": one.victim.size_bytes,
                "class": answer.plan.classes[one.victim.number].old.name,
                "first_turn": one.at_once,
            }
            for one in answer.first
        ],
        "weights": _weight_dicts(answer),
        "shortages": [
            {"host": one.host, "free_bytes": one.free_bytes, "needed_bytes": one.needed_bytes}
            for one in answer.shortages
        ],
        "missing": [{"host": host, "why": why} for host, why in answer.missing.items()],
    }


def _class_dict(answer: PlanAnswer, number: int) -> dict[str, Any]:
    one = answer.plan.classes[number]
    span = answer.spans[number] if answer.spans and one.plots else None
    fit = fill(one.bytes // one.plots) if one.plots else None
    fork_height = answer.heights.fork_height
    return {
        "class": one.old.name,
        "plots": one.plots,
        "bytes": one.bytes,
        "drives": one.drives,
        "weight": one.weight,
        "due_days_after_fork": one.due_days if one.plots else None,
        "due_height": None
        if fork_height is None or not one.plots
        else height_after(fork_height, one.due_epochs),
        "begins_at": span and _iso(answer, span.begins),
        "ends_at": span and _iso(answer, span.ends),
        "new_plots_for_one": fit and fit.plots,
    }


def _node_dict(node: NodeState | ChiaSilent | None) -> dict[str, Any] | None:
    if node is None:
        return None
    if isinstance(node, ChiaSilent):
        return {"answers": False, "why": str(node)}
    return {
        "answers": True,
        "synced": node.synced,
        "height": node.height,
        "fork_height": node.fork_height,
        "network": node.network,
    }


def _iso(answer: PlanAnswer, day: float) -> str | None:
    date = answer.date_of(day)
    return None if date is None else date.isoformat()


def _weight_dicts(answer: PlanAnswer) -> list[dict[str, Any]]:
    chart = answer.chart
    if chart is None:
        return []
    return [
        {"at": _iso(answer, weight.day), "old": weight.old, "new": weight.new, "unchanged": unchanged.old}
        for weight, unchanged in zip(chart.planned, chart.unchanged, strict=True)
    ]
