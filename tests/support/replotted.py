"""A farm on paper whose plots are replaced: what harvesters answer, and the plan made of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from common.config.sections.replot import Replot
from common.model.inventory import FileRow, SumRow
from common.model.plot_class import PlotClass
from common.model.snapshot import ArchiverSnapshot, HarvesterSnapshot, Tally
from plotman.control.farm import FarmState
from plotman.control.queries.replot.plan import PlanAnswer, PlanLimits, ask
from tests.support.stored import T, farm, harvester

K32, C7_BYTES = 108_877_420_954, 80_650_000_000
CLASSES = {"og": {"compression": 0}, "c7": {"compression": 7}}
TIB = 2**40


def paced(*harvesters: HarvesterSnapshot, tib_per_day: float = 0) -> FarmState:
    """A farm that archived so much in each of the last 7 days."""
    tally = Tally(since=T - timedelta(days=7), week_count=7, week_bytes=round(7 * tib_per_day * TIB))
    archiver = ArchiverSnapshot(host="p1", at=T, tally=tally)
    return farm(*(harvesters or (harvester(),)), archivers=(archiver,))


def row(
    path: str, of: dict[str, Any], plots: int, each: int, month: str | None = "2021-05"
) -> dict[str, Any]:
    made = SumRow(**of, drive=path, month=month, plots=plots, files=plots, bytes=plots * each)
    return made.model_dump(mode="json")


def file(path: str, name: str, of: dict[str, Any], size_bytes: int) -> dict[str, Any]:
    made = FileRow(drive=path, name=name, size_bytes=size_bytes, plots=1, plot_class=PlotClass(**of))
    return made.model_dump(mode="json")


def asked(limits: PlanLimits | None = None, at: FarmState | None = None, **settings: Any) -> PlanAnswer:
    section = Replot.model_validate({"classes": CLASSES} | settings)
    return ask(section, at or paced(tib_per_day=4), limits or PlanLimits())
