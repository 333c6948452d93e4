"""Shell completion of plot ids, hosts and places, from the notice board.

Fast and silent: if the board cannot be read within a second, nothing is offered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from plotman.control.farm import FarmState

_WAIT_S = 1.0


def complete_host(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    farm = _farm()
    return [
        CompletionItem(name) for name in sorted(farm.plotters if farm else ()) if name.startswith(incomplete)
    ]


def complete_silent_host(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """Complete hosts without any live worker."""
    farm = _farm()
    if farm is None:
        return []
    from plotman.control.actions.forget import silent_hosts

    return [CompletionItem(name) for name in sorted(silent_hosts(farm)) if name.startswith(incomplete)]


def complete_plot(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """Complete running plots (of --host, if given), with host, directory and phase."""
    farm = _farm()
    if farm is None:
        return []
    from plotman.control.selectors import PlotSelection

    targets = [
        PlotSelection(host, job) for host, job in farm.jobs() if ctx.params.get("host") in (None, host)
    ]
    offered = [
        CompletionItem(
            target.name, help=f"{target.host} {target.job.tmp or ''} {target.job.phase or ''}".strip()
        )
        for target in targets
    ]
    return [item for item in (*offered, CompletionItem("all")) if item.value.startswith(incomplete.lower())]


def complete_place(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """Complete what may be drained: hosts, and after HOST: its directories and drives."""
    farm = _farm()
    if farm is None:
        return []
    from plotman.control.actions.holds import EVERY, directories

    known = directories(farm)
    hosts = {host for _, host in known}
    folders = {f"{host}:{folder}" for (_, host), listed in known.items() for folder in listed}
    offered = folders if ":" in incomplete else {*hosts, EVERY}
    return [CompletionItem(text) for text in sorted(offered) if text.startswith(incomplete)]


def _farm() -> FarmState | None:
    import logging

    from common.errors import PlotmanError

    logging.disable()  # a warning about plotman.yaml must not disturb completion
    try:
        from plotman.control.farm import quick_board, read_farm

        return read_farm(quick_board(_WAIT_S))
    except (PlotmanError, OSError):
        return None
