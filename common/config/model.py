"""The whole of plotman.yaml, and what follows from it for this machine."""

from __future__ import annotations

import socket
from datetime import timedelta
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationInfo, model_validator

from common.config import rules
from common.config.archiving import Archiving
from common.config.base import VERSION, Section
from common.config.directories import Directories
from common.config.farm import Farm, Harvester
from common.config.interface import Commands, Logging, UserInterface
from common.config.notifications import Notifications
from common.config.plotting import Plotting
from common.config.problems import Level
from common.config.scheduling import Scheduling, TmpLimits
from common.model.paths import one_spelling
from common.names import Role

LENIENT = "keys need not agree"  # context of a validation that serves `plotman config check` only


class Config(Section):
    """plotman.yaml of one machine. Sections of a plotter are None where the machine does not plot.

    directories, scheduling and plotting come together; harvester stands by itself.
    """

    version: tuple[int, ...] = Field(
        min_length=1, description="Version of this file's format, as a list.", examples=[[VERSION]]
    )
    farm: Farm = Field(Farm(), description="This machine's place in the farm.")
    directories: Directories | None = Field(
        None, description="Where plots are made, and where they wait to be moved."
    )
    scheduling: Scheduling | None = Field(None, description="When a plot may start, and in which tmp folder.")
    plotting: Plotting | None = Field(
        None, description="Which plotter makes the plots, for whom, and with which options."
    )
    archiving: Archiving | None = Field(
        None, description="Who takes the finished plots. Absent: they stay where they are."
    )
    harvester: Harvester | None = Field(
        None, description="The farming drives of this machine. Absent: it has none."
    )
    notifications: Notifications = Field(
        Notifications(),
        description="Who is told what happens in the whole farm; set where the scheduler runs.",
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
        return self.farm.host or socket.gethostname()

    @property
    def broker_url(self) -> str | None:
        """Redis of the farm, with its password; None: an embedded one. Not for messages: see `masked`."""
        return self.farm.broker_url

    @property
    def state_dir(self) -> Path:
        """Folder for what plotman keeps. It may not exist yet."""
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
        """What this machine does, beside deciding."""
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
        """Whether Prometheus can ask here."""
        return self.farm.metrics_port is not None

    @property
    def runs_notifier(self) -> bool:
        """Whether people are told from here."""
        return bool(self.notifications.targets)

    def tmp_limits(self, tmp: str) -> TmpLimits:
        """The limits of a tmp folder, in any spelling, overrides applied. Raises ValueError on a machine
        that does not plot."""
        if self.scheduling is None:
            raise ValueError("this machine's plotman.yaml has no section scheduling")
        return self.scheduling.limits(one_spelling(tmp))
