"""The processes that this machine's plotman.yaml asks for, and their command lines. Pure."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import ConfigError
from common.names import Role, node
from plotman.supervisor.process_share import MEANT, OF_HALF, Half, ProcessShare

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
NAMES = (
    BROKER,
    Role.HARVESTER.value,
    Role.PLOTTER.value,
    Role.ARCHIVER.value,
    BEAT,
    FLOWER,
    METRICS,
    NOTIFIER,
)


@dataclass(frozen=True)
class Child:
    """A process that the supervisor keeps running.

    ready_url: of the broker that must answer before later stages start; None: ready at once.
    share: for a process that another supervisor of this machine may run too; None: it is not shared.
    """

    name: str  # of its log file, and in messages
    argv: tuple[str, ...]
    stage: Stage
    env: Mapping[str, str] = field(default_factory=dict)  # in addition to the supervisor's own
    ready_url: str | None = None
    share: ProcessShare | None = None


def wanted(config: Config, only: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Names of the processes to run here, in the order of start.

    Args:
        config: plotman.yaml.
        only: names from the command line; empty for all. The embedded broker is always added if plotman.yaml
            names none.

    Raises:
        ConfigError: `only` names a process that does not run here, or nothing would run.
    """
    here = {role.value for role in config.roles}
    if config.runs_scheduler:
        here.add(BEAT)
    if config.runs_flower:
        here.add(FLOWER)
    if config.runs_metrics:
        here.add(METRICS)
    if config.runs_notifier:
        here.add(NOTIFIER)
    unknown = [name for name in only if name not in here | {BROKER}]
    if unknown:
        raise ConfigError(
            f"plotman.yaml asks for no {' and no '.join(unknown)} on {config.host}.",
            f"It names: {', '.join(name for name in NAMES if name in here) or 'nothing'}.",
        )
    if only:
        here &= set(only)
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


def verb_child(name: str, config: Config, config_file: Path) -> Child:
    """How to start METRICS or NOTIFIER, which are verbs of `plotman`. config_file: absolute."""
    if name == NOTIFIER:
        verb: tuple[str, ...] = ("notify", "run")
    else:
        address = config.farm.metrics_address
        at = f"[{address}]" if ":" in address else address
        verb = ("prometheus", "--listen", f"{at}:{config.farm.metrics_port}")
    env = {"PLOTMAN_CONFIG": str(config_file)}
    return Child(name, (*PYTHON_MODULE, "plotman", *verb), Stage.DECISIONS, env)


def celery_child(name: str, config: Config, config_file: Path) -> Child:
    """How to start a worker, beat or Flower. config_file: absolute; every process reads it itself."""
    env = {"PLOTMAN_CONFIG": str(config_file)}
    if name == FLOWER:
        celery = (*PYTHON_MODULE, "celery", "-A", "plotman")
        address = (f"--address={config.farm.flower_address}", f"--port={config.farm.flower_port}")
        return Child(name, (*celery, "flower", *address), Stage.DECISIONS, env)
    serve = (*PYTHON_MODULE, "plotman.serve")
    if name == BEAT:
        return Child(name, (*serve, BEAT), Stage.DECISIONS, env)
    return Child(name, (*serve, node(Role(name), config.host)), Stage.WORKERS, env)


def environment(child: Child) -> dict[str, str]:
    """The environment of a process: ours, and its own variables."""
    return {**os.environ, **child.env}
