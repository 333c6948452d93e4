"""What this machine's plotman.yaml says of the replacing of old plots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from common.config.sections.farm import Harvester as HarvesterSection
from common.config.sections.farm import names
from common.model.replot_order import ReplotOrder
from harvester_worker.replot.rule import Limits


@dataclass(frozen=True, slots=True)
class ReplotSettings:
    """allowed: harvester.replot. proofs: challenges for each new plot.

    low_water_bytes: stays free on each drive; None: as the order says. margin_bytes: stays free in any case.
    names_drive: whether harvester.drives names a drive, also one that is not there.
    """

    allowed: bool
    proofs: int
    low_water_bytes: int | None
    margin_bytes: int
    names_drive: Callable[[str], bool] = lambda _: True

    @classmethod
    def of(cls, section: HarvesterSection) -> ReplotSettings:
        named = partial(names, section.drives)
        return cls(section.replot, section.proofs, section.low_water_bytes, section.margin_bytes, named)

    @property
    def why_not(self) -> str | None:
        """Why nothing may be deleted; None: it may."""
        if not self.allowed:
            return "harvester.replot is not true in this machine's plotman.yaml"
        if self.proofs <= 0:
            return "harvester.proofs is 0 in this machine's plotman.yaml, and new plots count only if proved"
        return None

    def limits(self, order: ReplotOrder) -> Limits:
        """Limits of an order on this machine."""
        own = order.low_water_bytes if self.low_water_bytes is None else self.low_water_bytes
        return Limits(max(own, self.margin_bytes), order.max_per_day)
