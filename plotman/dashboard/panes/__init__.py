"""The tables of the dashboard, from the state of the farm. Pure.

Figures and words are the same as in `status` and `dirs` (plotman.control.queries.tables). Each row also has
its subject, for commands to act on.
"""

from __future__ import annotations

from plotman.control.farm import FarmState, narrowed
from plotman.control.queries.scheduler_status import WaitReasons
from plotman.dashboard.model import Table, shortened, without
from plotman.dashboard.panes.archiving import drives, moves
from plotman.dashboard.panes.machines import machines
from plotman.dashboard.panes.plotting import dsts, plots, tmps
from plotman.dashboard.panes.waiting import waits


def all_tables(farm: FarmState, host: str | None) -> dict[str, Table]:
    """Every pane but the log, by name. host: only this one; None: all. Raises NoSuchHost."""
    shown = narrowed(farm, host)
    reasons = WaitReasons(farm)
    made = (
        plots(shown),
        tmps(shown, reasons),
        dsts(shown),
        drives(shown),
        moves(shown, reasons),
        waits(shown),
    )
    found = {table.name: shortened(without(table, "host") if host else table) for table in made}
    return found | {"machines": machines(shown, reasons)}
