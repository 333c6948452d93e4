"""The processes that this machine's plotman.yaml asks for, and their command lines. Pure."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import ConfigError
from common.model.address import bracketed
from common.names import HOST_VARIABLE, Role, node
from common.system.evacuations import orders_file
from plotman.supervisor.locks import MEANT, OF_HALF, Half, ProcessShare

if TYPE_CHECKING:
    from common.config.model import Config


# -P: a `plotman` that lies in the folder of the start is not imported.
PYTHON_MODULE = (sys.executable, "-P", "-m")


class Stage(IntEnum):
    """Order of starts; stops are in reverse order. The processes of a stage start together."""

    BROKER = 0
    WORKERS = 1
    DECISIONS = 2  # they give work to the others, so they start last and stop first


BROKER = "broker"
BEAT = "beat"
FLOWER = "flower"
METRICS = "metrics"
NOTIFIER = "notifier"
_ROLES = (Role.HARVESTER.value, Role.PLOTTER.value, Role.ARCHIVER.value)
NAMES = (BROKER, *_ROLES, BEAT, FLOWER, METRICS, NOTIFIER)


@dataclass(frozen=True)
class Child:
    """A process that the supervisor keeps running.

    ready_url: of the broker that must answer before later stages start; None: ready at once.
    share: for a process that another supervisor of this machine may run too; None: it is not shared.
    needed_while: the process runs only while this file exists; None: always.
    """

    name: str  # of its log file, and in messages
    argv: tuple[str, ...]
    stage: Stage
    env: Mapping[str, str] = field(default_factory=dict)  # in addition to the supervisor's own
    ready_url: str | None = None
    share: ProcessShare | None = None
    needed_while: Path | None = None


def wanted(config: Config, only: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Names of the processes to run here, in the order of start.

    Raises ConfigError if `only` names one that does not run here, or nothing would run. only: empty for all.
    The embedded broker is always added if plotman.yaml names none.
    """
    here = {role.value for role in config.roles}
    optional = {
        BEAT: config.runs_scheduler,
        FLOWER: config.runs_flower,
        METRICS: config.runs_metrics,
        NOTIFIER: config.runs_notifier,
    }
    here |= {name for name, runs in optional.items() if runs}
    unknown = [name for name in only if name not in here | {BROKER}]
    if unknown:
        raise ConfigError(
            f"plotman.yaml asks for no {' and no '.join(unknown)} on {config.host}.",
            f"It names: {', '.join(name for name in NAMES if name in here) or 'nothing'}.",
        )
    if only:
        here &= set(only)
    if Role.HARVESTER.value in here:
        # It sends the plots of drives that are evacuated; see child_process.
        here.add(Role.ARCHIVER.value)
    if not here and BROKER not in only:
        raise ConfigError(
            f"plotman.yaml gives {config.host} nothing to run.",
            "Add a plotting, archiving or harvester section (see `plotman config generate`).",
        )
    if config.farm.broker is None:
        here.add(BROKER)
    return tuple(name for name in NAMES if name in here)


def wanted_by_half(config: Config, half: Half) -> tuple[str, ...]:
    """Names of the processes that `plotman plot` or `plotman archive` runs here, in the order of start.

    Raises ConfigError if plotman.yaml asks for none of them.
    """
    here = wanted(config)
    if MEANT[half].isdisjoint(here):
        section = "plotting" if half is Half.PLOT else "archiving or harvester"
        raise ConfigError(
            f"plotman.yaml gives {config.host} nothing to {half}.", f"Add the section {section} to it."
        )
    return tuple(name for name in here if name == BROKER or name in OF_HALF[half])


def child_process(name: str, config: Config, config_file: Path) -> Child:
    """How to start a process, but for the broker. A machine without plotters runs an archiver only while one
    of its drives is evacuated. config_file: absolute; every process reads it itself."""
    farm = config.farm
    if name == NOTIFIER:
        command: tuple[str, ...] = ("plotman", "notify", "run")
    elif name == METRICS:
        at = f"{bracketed(farm.metrics_address)}:{farm.metrics_port}"
        command = ("plotman", "prometheus", "--listen", at)
    elif name == FLOWER:
        address = (f"--address={farm.flower_address}", f"--port={farm.flower_port}")
        command = ("celery", "-A", "plotman", "flower", *address)
    else:
        command = ("plotman.serve", BEAT if name == BEAT else node(Role(name), config.host))
    stage = Stage.WORKERS if name in _ROLES else Stage.DECISIONS
    env = {"PLOTMAN_CONFIG": str(config_file), HOST_VARIABLE: config.host}
    needed_while = None
    if name == Role.ARCHIVER and Role.ARCHIVER not in config.roles:
        needed_while = orders_file(config.state_dir.absolute())
    return Child(name, (*PYTHON_MODULE, *command), stage, env, needed_while=needed_while)
