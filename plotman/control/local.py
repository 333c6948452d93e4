"""The plots of this machine while its plotman is not running, as plotman 0.5.3 shows them.

A verb then sees the plots in its own process, and runs there what a worker would run for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import config
from common.config import document
from common.config.sections.farm import farm_section
from common.errors import BrokerError, ConfigError, PlotmanError
from common.model.units import counted
from common.names import DETAILS, FILES, KILL, RESUME, SUSPEND, Role
from common.store.board_reader import BoardReader
from common.system.filelock import is_held
from plotman.control.farm import FarmState, read_farm, settings

if TYPE_CHECKING:
    from plotter_worker.standalone import Standalone

_VERBS = ("up", "plot", "archive")  # of `plotman`, which lock a file of this name in the state folder
_TASKS = (DETAILS, FILES, SUSPEND, RESUME, KILL)
_served: Standalone | None = None


def read_with_own(connect: Callable[[], BoardReader]) -> FarmState:
    """Read the farm for a verb; this machine's plots by itself if its plotman is not running.

    Args:
        connect: returns the board's reader.

    Raises:
        BrokerError: Redis does not answer, and plotman runs here, or makes no plots here.
    """
    trouble = None
    try:
        farm = read_farm(connect())
    except BrokerError as error:
        farm, trouble = FarmState(datetime.now(UTC), {}, {}, {}, None, frozenset()), error
    own = _own(farm)
    if own is None:
        if trouble is not None:
            raise trouble
        return farm
    snapshot = own.snapshot()
    count = len(snapshot.jobs)
    from plotter_worker.standalone import NOT_RUNNING

    running = f"{counted(count, 'plot')} {'is' if count == 1 else 'are'}" if count else "no plots run"
    here = f"{NOT_RUNNING}; {running}"
    if trouble is not None:
        here = f"{here}, and only this machine is shown: {trouble.what}"
    return replace(
        farm,
        plotters={**farm.plotters, own.host: snapshot},
        stale=farm.stale - {(Role.PLOTTER, own.host)},
        not_running_here=here,
    )


def answer(task: str, host: str, arguments: Mapping[str, Any]) -> Any:
    """Run a task on the plots of this process, which `read_with_own` has found; `serves` says whether it can.

    Returns:
        The task's answer in JSON's types, or the PlotmanError that it raised.
    """
    from plotter_worker.tasks import control

    assert _served is not None
    if task == KILL:
        _served.watch()
    runs = (control.details, control.files, control.suspend, control.resume, control.kill)
    run = dict(zip(_TASKS, runs, strict=True))[task]
    try:
        return json.loads(json.dumps(run(host=host, **arguments)))
    except PlotmanError as error:
        return error


def serves(task: str, host: str) -> bool:
    """Whether this process itself answers this task."""
    return _served is not None and _served.host == host and task in _TASKS


def _own(farm: FarmState) -> Standalone | None:
    """This machine's plots, if its plotman makes some and is not running; else None. farm: as it was read."""
    global _served  # noqa: PLW0603  the process is one verb
    path = config.default_path()
    try:  # the cheapest first: to load all settings takes as long as the verb
        if "directories" not in document.parse(path.read_bytes()).data:
            return None
        section = farm_section(path)
        if section is None or _runs_here(section.state_dir):
            return None
        mine = settings("directories")
    except (OSError, ConfigError):
        return None
    if mine.directories is None or mine.host in farm.alive(Role.PLOTTER):
        return None
    from plotter_worker.standalone import Standalone

    _served = Standalone(mine)
    _served.serve()
    return _served


def _runs_here(state_dir: Path) -> bool:
    try:
        return any(is_held(state_dir / f"{verb}.pid") for verb in _VERBS)
    except OSError:  # another user's: not known
        return True
