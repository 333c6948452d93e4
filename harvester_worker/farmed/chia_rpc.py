"""Asks chia's own harvester on this machine what it farms, by its RPC (chia-blockchain 2.7.5,
chia/harvester/harvester_rpc_api.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from common.system.chia_service import (
    HARVESTER,
    ChiaForm,
    ChiaSettings,
    ServiceSettings,
    connect,
    read_settings,
)

_ANSWER_S = 20.0
_MOST_BYTES = 128 << 20  # of an answer: 200,000 plots
_INTERVAL_S = 120.0  # chia's default


class _Refresh(ChiaForm):
    interval_seconds: Annotated[float, Field(gt=0, le=1e6)] = _INTERVAL_S


class _Harvester(ServiceSettings):
    recursive_plot_scan: bool = False
    plots_refresh_parameter: _Refresh = _Refresh()


class _Settings(ChiaSettings):
    harvester: _Harvester


class _Plot(ChiaForm):
    filename: str


class _Plots(ChiaForm):
    plots: tuple[_Plot, ...]
    failed_to_open_filenames: tuple[str, ...]
    not_found_filenames: tuple[str, ...] = ()


class _Directories(ChiaForm):
    directories: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChiaView:
    """What chia's harvester sees.

    plots: files that it has opened. failed: files that it could not open. directories: that it searches.
    recursive: whether it also searches what is below them. interval_s: how often it looks for new files.
    """

    plots: frozenset[str]
    failed: frozenset[str]
    directories: Sequence[str]
    recursive: bool = False
    interval_s: float = _INTERVAL_S


def ask(root: str) -> ChiaView:
    """Ask the harvester whose settings are in the folder `root`. Takes a minute at most. Raises
    ChiaSilent."""
    settings = read_settings(root, HARVESTER, _Settings)
    harvester = settings.harvester
    with connect(root, HARVESTER, settings, harvester.rpc_port, _ANSWER_S, _MOST_BYTES) as connection:
        plots = connection.ask("get_plots", _Plots)
        directories = connection.ask("get_plot_directories", _Directories)
    return ChiaView(
        frozenset(plot.filename for plot in plots.plots),
        frozenset((*plots.failed_to_open_filenames, *plots.not_found_filenames)),
        directories.directories,
        harvester.recursive_plot_scan,
        harvester.plots_refresh_parameter.interval_seconds,
    )
