"""How the replacing of old plots proceeds: the harvesters' reports as a line, a table and JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from common.model.replot_report import ReplotClassReport, ReplotReport, ReplotState
from common.model.units import counted, human_bytes
from common.names import Role
from plotman.control.farm import FarmState, NoSuchHost
from plotman.control.queries.tables import PlainTable

_UNKNOWN = "?"
# Of a farm whose harvesters do different things: the first one says most.
_STATES = (
    ReplotState.STOPPED,
    ReplotState.RUNNING,
    ReplotState.WAITING,
    ReplotState.PAUSED,
    ReplotState.DONE,
)


def reports(farm: FarmState, host: str | None = None) -> dict[str, ReplotReport]:
    """The reports of harvesters with an order, also of silent ones, by host.

    host: only this one; None: all. Raises NoSuchHost.
    """
    if host is not None and host not in farm.harvesters and not unreadable(farm, host):
        raise NoSuchHost.called(host, farm.harvesters)
    return {
        name: snapshot.replot_report
        for name, snapshot in sorted(farm.harvesters.items())
        if snapshot.replot_report is not None and host in (None, name)
    }


def unreadable(farm: FarmState, host: str | None = None) -> dict[str, str]:
    """Hosts whose reports cannot be read, so that they may have an order, each with a sentence that names the
    keys. host: only this one; None: all."""
    return {
        name: why
        for name, why in sorted(farm.spoilt.items())
        if name not in farm.harvesters and host in (None, name)
    }


@dataclass(frozen=True)
class Totals:
    """Sums over harvesters. left_plots, left_bytes: of old plots to be replaced; None: not all are known."""

    deleted_plots: int
    new_plots: int
    left_plots: int | None
    left_bytes: int | None

    @classmethod
    def of(cls, found: Iterable[ReplotReport]) -> Totals:
        found = list(found)
        classes = [one for report in found for one in report.classes]
        is_known = all(report.since is not None for report in found)
        return cls(
            deleted_plots=sum(report.deleted_plots for report in found),
            new_plots=sum(report.new_plots for report in found),
            left_plots=_sum(one.left_plots for one in classes) if is_known else None,
            left_bytes=_sum(one.left_bytes for one in classes) if is_known else None,
        )

    @property
    def deleted_text(self) -> str:
        """`12 of 870`; `12` if it is not known of how many."""
        known = "" if self.left_plots is None else f" of {self.deleted_plots + self.left_plots:,}"
        return f"{self.deleted_plots:,}{known}"

    @property
    def text(self) -> str:
        """`12 of 870 old plots deleted, 12.4 TB left, 14 new plots arrived`."""
        left = "" if self.left_bytes is None else f", {human_bytes(self.left_bytes)} left"
        new = counted(self.new_plots, "new plot")
        return f"{self.deleted_text} old plots deleted{left}, {new} arrived"


def _sum(figures: Iterable[int | None]) -> int | None:
    known = list(figures)
    return None if None in known else sum(filter(None, known))


def farm_line(farm: FarmState) -> str | None:
    """`Replot: running, 12 of 870 old plots deleted, 12.4 TB left, 14 new plots arrived`; None: no order."""
    found = reports(farm)
    if not found:
        return None
    states = {report.state for report in found.values()}
    state = next(one for one in _STATES if one in states)
    hosts = f" on {counted(len(found), 'host')}" if len(found) > 1 else ""
    return f"Replot: {state}{hosts}, {Totals.of(found.values()).text}"


def host_text(report: ReplotReport) -> str:
    """What the harvester does with its order, with the reason: `waits: no new plot has arrived`."""
    if report.state is ReplotState.RUNNING:
        text = f"deletes {report.victim}" if report.victim else "deletes an old plot"
        return text if report.why in ("", text) else f"{text}: {report.why}"
    if report.state is ReplotState.DONE:
        return "is done: no plot of its classes is left"
    word = {ReplotState.PAUSED: "is paused", ReplotState.STOPPED: "is stopped"}.get(report.state, "waits")
    return f"{word}: {report.why}" if report.why else word


def status_table(farm: FarmState, host: str | None) -> PlainTable:
    """A row for each class on each host. Raises NoSuchHost."""
    rows = [(name, of, one) for name, of in reports(farm, host).items() for one in of.classes]
    return PlainTable.of(
        rows,
        {
            "host": lambda row: row[0],
            "class": lambda row: row[2].name,
            "state": lambda row: _state(farm, *row),
            "left": lambda row: _UNKNOWN if row[2].left_plots is None else f"{row[2].left_plots:,}",
            "size left": lambda row: _size(row[2].left_bytes),
            "deleted": lambda row: f"{row[2].deleted_plots:,}",
            "size deleted": lambda row: human_bytes(row[2].deleted_bytes),
        },
        title="Old plots",
        right=frozenset({"left", "size left", "deleted", "size deleted"}),
        spare=("size deleted",),
    )


def _state(farm: FarmState, host: str, report: ReplotReport, of: ReplotClassReport) -> str:
    if (Role.HARVESTER, host) in farm.stale:
        return farm.absence(Role.HARVESTER, host)
    if of.left_plots == 0:
        return "done"
    if of.not_before is not None and of.not_before > farm.at:
        return f"from {of.not_before:%Y-%m-%d}"
    return report.state


def _size(size_bytes: int | None) -> str:
    return _UNKNOWN if size_bytes is None else human_bytes(size_bytes)


def status_sentences(farm: FarmState, host: str | None) -> Iterator[str]:
    """What each harvester does, and what has arrived there. Raises NoSuchHost."""
    for name, report in reports(farm, host).items():
        yield f"{name} {host_text(report)}."
        if report.since is None:
            continue
        spare = f", of which {human_bytes(report.unused_bytes)} are spare" if report.unused_bytes else ""
        limit = f" Today: {report.deleted_today} of {report.max_per_day}." if report.max_per_day else ""
        yield (
            f"{name}: {counted(report.new_plots, 'new plot')} ({human_bytes(report.new_bytes)}) arrived and "
            f"were proved since {report.since:%Y-%m-%d %H:%M} UTC{spare}. "
            f"{human_bytes(report.deleted_bytes)} of old plots were deleted.{limit}"
        )
    for name, why in unreadable(farm, host).items():
        ask = f"`plotman replot pause --host {name}` asks it."
        yield f"{name} may replace old plots: its report cannot be read ({why.rstrip('.')}). {ask}"


def status_dict(farm: FarmState, host: str | None) -> dict[str, Any]:
    """`plotman replot status --json`, in docs/cli.md; keys are only ever added. Raises NoSuchHost."""
    return {
        "version": 1,
        "updated": farm.at.isoformat(),
        "hosts": [
            {
                "host": name,
                "silent": (Role.HARVESTER, name) in farm.stale,
                **report.model_dump(mode="json"),
                "text": host_text(report),
            }
            for name, report in reports(farm, host).items()
        ],
    }
