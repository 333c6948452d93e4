"""What one harvester reports of the replacing of old plots, for its snapshot."""

# No `from __future__ import annotations`: see common.model.snapshot.

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from common.model.figures import FEW, LONGEST_REASON, Bytes, Count, Moment, Name, Notice, Path, Space

# Cut: the harvester's own words may be in it.
Words = Annotated[str, AfterValidator(lambda text: text[:LONGEST_REASON])]


class ReplotState(StrEnum):
    """What the harvester does with its order."""

    RUNNING = "running"  # an old plot is being deleted
    WAITING = "waiting"  # for something that `why` names
    PAUSED = "paused"  # by an operator
    DONE = "done"  # no plot of the classes is left
    STOPPED = "stopped"  # by an error, or because harvester.replot is off: an operator must act


class ReplotClassReport(Notice):
    """One class of the order. None: not known yet.

    not_before: the class stays until then.
    """

    name: Name
    not_before: Moment | None = None
    deleted_plots: Count = 0
    deleted_bytes: Bytes = 0
    left_plots: Annotated[int, Field(ge=0, le=1 << 32)] | None = None
    left_bytes: Space = None


class ReplotReport(Notice):
    """The order and what came of it.

    why: a sentence, why no old plot goes now, or what is wrong.
    since: of the order; None: it is not known, as its file cannot be read.
    deleted_today: old plots, on the present day (UTC), of `max_per_day`.
    new_plots, new_bytes: that arrived and were proved since the order, and count.
    unused_bytes: of these, what no old plot has gone for.
    victim: the old plot that is being deleted.
    """

    state: ReplotState
    why: Words = ""
    since: Moment | None = None
    by: str | None = None
    reason: str | None = None
    classes: Annotated[tuple[ReplotClassReport, ...], FEW] = ()
    low_water_bytes: Bytes = 0
    max_per_day: Count | None = None
    deleted_today: Count = 0
    deleted_plots: Count = 0
    deleted_bytes: Bytes = 0
    new_plots: Count = 0
    new_bytes: Bytes = 0
    unused_bytes: Bytes = 0
    victim: Path | None = None
