"""The tables of the dashboard from one look at the farm. Pure.

Figures and words are those of `status` and `dirs` (plotman.control.queries.tables); each row also keeps what
it stands for, so that commands can act on it.
"""

from __future__ import annotations

from plotman.control.farm import FarmState, narrowed
from plotman.dashboard.model import Table, shortened, without
from plotman.dashboard.panes.archiving import drives, moves
from plotman.dashboard.panes.machines import machines
from plotman.dashboard.panes.plotting import dsts, plots, tmps
from plotman.dashboard.panes.waiting import Waiting, waits


def all_tables(farm: FarmState, host: str | None) -> dict[str, Table]:
    """Every pane but the log, by name; of one host where it is named. Raises NoSuchHost."""
    seen = narrowed(farm, host)
    waiting = Waiting(farm)
    made = (
        plots(seen),
        tmps(seen, waiting),
        dsts(seen),
        drives(seen),
        moves(seen, waiting),
        waits(seen),
    )
    found = {table.name: shortened(without(table, "host") if host else table) for table in made}
    return found | {"machines": machines(seen, waiting)}
