"""Where the next plots would go: `plotman dsched`. It calls the rule of beat.policy.starts.destination."""

from __future__ import annotations

from typing import Any

from beat.policy.load import Load
from beat.policy.starts.destination import destination, no_destination
from common.model.snapshot import PlotterSnapshot
from plotman.control.farm import FarmState
from plotman.control.queries.tables import PlainTable


def dsched_json(farm: FarmState) -> dict[str, Any]:
    """Make the output of `plotman dsched --json`.

    phases: of the plots on their way there, least advanced first; null: not known. next_from: tmp directories
    from which a plot that started now would go there.
    """
    return {"version": 1, "updated": farm.at.isoformat(), "dst": _destinations(farm)}


def dsched_table(farm: FarmState) -> PlainTable:
    """Make the table of `plotman dsched`."""
    rows = [
        (
            dst["host"],
            dst["path"],
            " ".join(phase or "?:?" for phase in dst["phases"]),
            " ".join(dst["next_from"]),
        )
        for dst in _destinations(farm)
    ]
    return PlainTable(("host", "dst", "incoming", "next from"), tuple(rows), paths=frozenset({"dst"}))


def _destinations(farm: FarmState) -> list[dict[str, Any]]:
    return [dst for snapshot in farm.plotters.values() for dst in _destinations_of(snapshot, farm)]


def _destinations_of(snapshot: PlotterSnapshot, farm: FarmState) -> list[dict[str, Any]]:
    load = Load(snapshot, (), farm.at)
    chosen = {
        tmp.path: destination(tmp, load) for tmp in snapshot.tmp_dirs if no_destination(tmp, load) is None
    }
    configured = [dst.path for dst in snapshot.dst_dirs]
    incoming = [job.dst for job in snapshot.jobs if job.dst is not None]
    return [
        {
            "host": snapshot.host,
            "path": path,
            "phases": _phases(snapshot, path),
            "next_from": [tmp for tmp, dst in chosen.items() if dst == path],
        }
        for path in dict.fromkeys((*configured, *chosen.values(), *incoming))
    ]


def _phases(snapshot: PlotterSnapshot, path: str) -> list[str | None]:
    phases = [job.phase for job in snapshot.jobs if job.dst == path]
    known = sorted(phase for phase in phases if phase is not None)
    return [None] * (len(phases) - len(known)) + [str(phase) for phase in known]
