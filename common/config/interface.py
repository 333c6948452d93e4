"""`logging`, `user_interface` and `commands`: where logs go, and how the terminal behaves."""

from __future__ import annotations

from pathlib import Path

import platformdirs
from pydantic import Field

from common.config.base import Folder, Section


def _data(name: str) -> str:
    return str(platformdirs.user_data_path("plotman") / name)


def _log(name: str) -> str:
    return str(platformdirs.user_log_path("plotman") / name)


class Logging(Section):
    """Where logs go."""

    plots: Folder = Field(
        default_factory=lambda: _data("plots"),
        description="Folder for the plotters' logs. Progress is read from them: a fast drive is good.",
        examples=["/home/chia/logs/plots"],
    )
    transfers: Folder = Field(
        default_factory=lambda: _data("transfers"),
        description="Folder for the logs of transfers.",
        examples=["/home/chia/logs/transfers"],
    )
    application: Folder = Field(
        default_factory=lambda: _log("plotman.log"),
        description="Kept from plotman 0.5; what plotman says is in the folder `logs` of farm.state.",
        examples=["/home/chia/logs/plotman.log"],
    )
    disk_spaces: Folder = Field(
        default_factory=lambda: _log("plotman-disk_spaces.log"),
        description="Log of the disk space scripts of plotman 0.5's archiving targets.",
        examples=["/home/chia/logs/disk_spaces.log"],
    )

    @property
    def plots_path(self) -> Path:
        """`plots` as a path."""
        return Path(self.plots)


class UserInterface(Section):
    """Display."""

    use_stty_size: bool = Field(
        True,
        description="Kept from plotman 0.5, where it chose how the size of the terminal was found.",
        examples=[True],
    )


class Interactive(Section):
    """`plotman interactive`."""

    autostart_plotting: bool = Field(
        True, description="Kept from plotman 0.5; `plotman pause plotting` holds plots back.", examples=[True]
    )
    autostart_archiving: bool = Field(
        True, description="Kept from plotman 0.5; `plotman pause archiving` holds them.", examples=[True]
    )


class Commands(Section):
    """Settings of single commands."""

    interactive: Interactive = Field(Interactive(), description="`plotman interactive`.")
