"""The whole plotman.yaml with its minor sections, its meaning for this machine, and a search for its keys."""

from __future__ import annotations

import os
import socket
import typing
from collections.abc import Iterator
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Self

import platformdirs
from pydantic import Field, ValidationInfo, model_validator

from common.config import rules
from common.config.problems import Level, Location
from common.config.sections.archiving import Archiving
from common.config.sections.base import VERSION, Folder, Section
from common.config.sections.directories import Directories
from common.config.sections.farm import Farm, Harvester
from common.config.sections.notifications import Notifications
from common.config.sections.plotter_packages import loaded
from common.config.sections.plotting import Plotting
from common.config.sections.replot import Replot
from common.config.sections.scheduling import Scheduling
from common.names import HOST_VARIABLE, Role

LENIENT = "keys need not agree"  # context of a validation for `plotman config check`


def _data(name: str) -> str:
    return str(platformdirs.user_data_path("plotman") / name)


def _log(name: str) -> str:
    return str(platformdirs.user_log_path("plotman") / name)


class Logging(Section):
    """Where logs go."""

    plots: Folder = Field(
        default_factory=lambda: _data("plots"),
        description="Folder for the plotters' logs. plotman reads the progress there, so use a fast drive. "
        "Absent: ~/.local/share/plotman/plots.",
        examples=["/home/chia/logs/plots"],
    )
    transfers: Folder = Field(
        default_factory=lambda: _data("transfers"),
        description="Folder for the logs of transfers. Absent: ~/.local/share/plotman/transfers.",
        examples=["/home/chia/logs/transfers"],
    )
    application: Folder = Field(
        default_factory=lambda: _log("plotman.log"),
        description="Kept from plotman 0.5, without effect. plotman logs into farm.state/logs.",
        examples=["/home/chia/logs/plotman.log"],
    )
    disk_spaces: Folder = Field(
        default_factory=lambda: _log("plotman-disk_spaces.log"),
        description="Log of the disk space scripts of archiving targets.",
        examples=["/home/chia/logs/disk_spaces.log"],
    )

    @property
    def plots_path(self) -> Path:
        """`plots` as a path."""
        return Path(self.plots)


class UserInterface(Section):
    """Display."""

    use_stty_size: bool = Field(True, description="Kept from plotman 0.5, without effect.")


class Interactive(Section):
    """`plotman interactive`."""

    autostart_plotting: bool = Field(True, description="Kept from plotman 0.5; use `plotman pause plotting`.")
    autostart_archiving: bool = Field(
        True, description="Kept from plotman 0.5; use `plotman pause archiving`."
    )


class Commands(Section):
    """Settings of single commands."""

    interactive: Interactive = Field(Interactive(), description="`plotman interactive`.")


class Config(Section):
    """plotman.yaml of one machine.

    A plotter has directories, scheduling and plotting, all three or none. harvester is independent of them.
    """

    version: tuple[int, ...] = Field(
        min_length=1, description="Version of this file's format, as a list.", examples=[[VERSION]]
    )
    farm: Farm = Field(Farm(), description="This machine's place in the farm.")
    directories: Directories | None = Field(
        None, description="Where plots are made, and where they wait for their move."
    )
    scheduling: Scheduling | None = Field(None, description="When plots may start, and in which tmp folder.")
    plotting: Plotting | None = Field(
        None, description="Which plotter makes the plots, with which keys and options."
    )
    archiving: Archiving | None = Field(
        None, description="Which machines take the finished plots. Absent: plots stay where they are."
    )
    harvester: Harvester | None = Field(
        None, description="The farming drives of this machine. Absent: it has none."
    )
    replot: Replot | None = Field(
        None,
        description="Which old plots may be replaced by new ones. Set it where the scheduler runs. Nothing "
        "is deleted by it alone: `plotman replot start` orders it. Absent: all plots stay.",
    )
    notifications: Notifications = Field(
        Notifications(), description="Notifications about the whole farm. Set them where the scheduler runs."
    )
    logging: Logging = Field(default_factory=Logging, description="Where logs go.")
    user_interface: UserInterface = Field(UserInterface(), description="Display.")
    commands: Commands = Field(Commands(), description="Settings of single commands.")

    @model_validator(mode="after")
    def _keys_agree(self, info: ValidationInfo) -> Self:
        if info.context == LENIENT:
            return self
        data = self.model_dump(mode="json", exclude_none=True, exclude_unset=True)
        broken = [rule for rule in rules.broken(data) if rule.level is Level.ERROR]
        if broken:
            raise ValueError("; ".join(f"{rule.key}: {rule.what}" for rule in broken))
        return self

    @property
    def host(self) -> str:
        """Name of this machine in the farm."""
        return self.farm.host or os.environ.get(HOST_VARIABLE) or socket.gethostname()

    @property
    def broker_url(self) -> str | None:
        """Redis of the farm, with its password; None: the embedded one. Not for messages: see `masked`."""
        return self.farm.broker_url

    @property
    def receiver_tls(self) -> bool:
        """Whether plots come to this harvester by TLS only."""
        wanted = self.harvester.receiver_tls if self.harvester else False
        if wanted is not None:
            return wanted
        return (self.broker_url or "").startswith("rediss:") and find_spec("cryptography") is not None

    @property
    def state_dir(self) -> Path:
        """Folder for plotman's own files. It may not exist yet."""
        return self.farm.state_dir

    @property
    def history_kept(self) -> timedelta | None:
        """How long a row stays in the history; None: for ever."""
        return timedelta(days=self.farm.history_days) if self.farm.history_days else None

    @property
    def plots_log_dir(self) -> Path:
        """Folder of the plotters' logs. It may not exist yet."""
        return self.logging.plots_path

    @property
    def roles(self) -> frozenset[Role]:
        """Roles of this machine; beat is not one."""
        named = {
            Role.PLOTTER: self.directories,
            Role.ARCHIVER: self.directories and self.archiving,
            Role.HARVESTER: self.harvester,
        }
        return frozenset(role for role, section in named.items() if section is not None)

    @property
    def runs_scheduler(self) -> bool:
        """Whether beat runs here."""
        return self.farm.broker is None if self.farm.scheduler is None else self.farm.scheduler

    @property
    def runs_flower(self) -> bool:
        """Whether Flower runs here."""
        return self.runs_scheduler if self.farm.flower is None else self.farm.flower

    @property
    def runs_metrics(self) -> bool:
        """Whether the metrics server runs here."""
        return self.farm.metrics_port is not None

    @property
    def runs_notifier(self) -> bool:
        """Whether the notifier runs here."""
        return bool(self.notifications.targets)


def section_in(annotation: Any) -> type[Section] | None:
    """The section in a field, directly or as value of a mapping; None for plain values."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin is Annotated:
        return section_in(arguments[0])
    if origin is dict:
        return section_in(arguments[1])
    if origin in (typing.Union, UnionType):
        return next(filter(None, map(section_in, arguments)), None)
    return None


def is_mapping(annotation: Any) -> bool:
    """Whether the user chooses the names of the keys."""
    return typing.get_origin(annotation) is dict


def section_at(location: Location) -> type[Section] | None:
    """The section at `location`; None if there is none."""
    for plotter in loaded():
        if location == ("plotting", plotter.name):
            return plotter.options
    section: type[Section] | None = Config
    parts = iter(location)
    for part in parts:
        if section is None or part not in section.model_fields:
            return None
        annotation = section.model_fields[str(part)].annotation
        section = section_in(annotation)
        if is_mapping(annotation):
            next(parts, None)
    return section


def all_keys(section: type[Section] = Config, above: Location = ()) -> Iterator[Location]:
    """Locations of all keys whose names are fixed."""
    for name, field in section.model_fields.items():
        yield (*above, name)
        inner = section_in(field.annotation)
        if inner and not is_mapping(field.annotation):
            yield from all_keys(inner, (*above, name))


def home_of(key: str) -> Location | None:
    """Location of the only key of this name; None if no section or several have it."""
    homes = [location for location in all_keys() if location[-1] == key]
    return homes[0] if len(homes) == 1 else None
