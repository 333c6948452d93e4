"""Which processes this machine's plotman.yaml asks for, and how each is started. Pure."""

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


class Stage(IntEnum):
    """Order of start; the reverse is the order of stop. Within a stage all go at once."""

    BROKER = 0
    WORKERS = 1
    DECISIONS = 2  # what gives work to others goes last and stops first


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
    """A process that the runner keeps running.

    ready_url: broker that must answer before later stages start; None: it is ready once started.
    share: where another runner of this machine may run it as well; None: it is ours alone.
    """

    name: str  # of its log file, and in what the runner says
    argv: tuple[str, ...]
    stage: Stage
    env: Mapping[str, str] = field(default_factory=dict)  # in addition to the runner's own
    ready_url: str | None = None
    share: ProcessShare | None = None


def wanted(config: Config, only: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Names of the processes to run here, in the order of start.

    only: as given on the command line; empty for all. The broker comes along wherever plotman.yaml names
    none, since nothing works without. Raises ConfigError where `only` names what does not run here, and
    where nothing would run.
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
    strangers = [name for name in only if name not in here | {BROKER}]
    if strangers:
        raise ConfigError(
            f"plotman.yaml asks for no {' and no '.join(strangers)} on {config.host}.",
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

    Raises ConfigError where plotman.yaml asks for nothing of that.
    """
    here = wanted(config)
    if MEANT[half].isdisjoint(here):
        section = "plotting" if half is Half.PLOT else "archiving or harvester"
        raise ConfigError(
            f"plotman.yaml gives {config.host} nothing to {half}.", f"Add the section {section} to it."
        )
    return tuple(name for name in here if name == BROKER or name in OF_HALF[half])


def verb_child(name: str, config: Config, config_file: Path) -> Child:
    """How METRICS and NOTIFIER are started: they are verbs of `plotman`. config_file: absolute."""
    if name == NOTIFIER:
        verb: tuple[str, ...] = ("notify", "run")
    else:
        address = config.farm.metrics_address
        at = f"[{address}]" if ":" in address else address
        verb = ("prometheus", "--listen", f"{at}:{config.farm.metrics_port}")
    env = {"PLOTMAN_CONFIG": str(config_file)}
    return Child(name, (sys.executable, "-m", "plotman", *verb), Stage.DECISIONS, env)


def celery_child(name: str, config: Config, config_file: Path) -> Child:
    """How the process `name` (a worker, beat or Flower) is started.

    config_file: absolute; every process reads plotman.yaml itself.
    """
    env = {"PLOTMAN_CONFIG": str(config_file)}
    if name == FLOWER:
        celery = (sys.executable, "-m", "celery", "-A", "plotman")
        address = (f"--address={config.farm.flower_address}", f"--port={config.farm.flower_port}")
        return Child(name, (*celery, "flower", *address), Stage.DECISIONS, env)
    serve = (sys.executable, "-m", "plotman.serve")
    if name == BEAT:
        return Child(name, (*serve, BEAT), Stage.DECISIONS, env)
    return Child(name, (*serve, node(Role(name), config.host)), Stage.WORKERS, env)


def environment(child: Child) -> dict[str, str]:
    """The whole environment of a process: ours, and what it needs beyond."""
    return {**os.environ, **child.env}
