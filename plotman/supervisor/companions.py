"""What `plotman up` prints beside its processes: where to look, problems of plotman.yaml, and events."""

from __future__ import annotations

import asyncio
import heapq
import shlex
import signal
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from common.config import default_path
from common.errors import BrokerError
from common.model.address import bracketed
from common.model.snapshot import Event
from common.model.text import one_line
from common.names import FREQUENT_EVENTS
from common.store import Board
from common.system import child_signal
from plotman.control.queries.event_text import event_text
from plotman.supervisor.processes import FLOWER, METRICS, PYTHON_MODULE
from plotman.supervisor.supervised_process import Say

if TYPE_CHECKING:
    from common.config.model import Config

# How long a read of events may block. A stop waits for it, and takes as long anyway.
_WAIT_S = 3.0
_RETRY_S = 2.0
# The roles of a machine tell what happened up to this late.
_LATE_S = 2.0
_EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})


def where_to_look(config: Config, config_file: Path, names: Iterable[str]) -> Iterator[str]:
    """Lines that name what listens here, and the commands to try.

    Args:
        config_file: of `config`, an absolute path.
        names: of the processes that run.
    """
    farm, names = config.farm, frozenset(names)
    addresses = {
        FLOWER: f"web page http://{_reached(farm.flower_address, config.host)}:{farm.flower_port}/farm",
        METRICS: f"metrics http://{_reached(farm.metrics_address, config.host)}:{farm.metrics_port}/metrics",
    }
    if here := [address for name, address in addresses.items() if name in names]:
        yield f"Addresses: {', '.join(here)}."
    found = "" if config_file == default_path().absolute() else _exported(config_file)
    # `plotman farm secrets` gives each machine a user in Redis; only the scheduler's may see the farm.
    if not config.runs_scheduler and urlsplit(farm.broker_url or "").username:
        yield "On the scheduler's machine, try: plotman status"
    else:
        yield f"In another terminal, try: {found}plotman status"


def _reached(address: str, host: str) -> str:
    return host if address in _EVERY_ADDRESS else bracketed(address)


def _exported(config_file: Path) -> str:
    return f"export PLOTMAN_CONFIG={shlex.quote(str(config_file))}; "


async def tell_problems(config_file: Path, say: Say) -> None:
    """Print what `plotman config check` finds. It runs in a process of its own, which ends with this."""
    command = (*PYTHON_MODULE, "plotman", "config", "check", str(config_file))
    process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL)
    assert process.stdout is not None
    try:
        async for line in process.stdout:
            say(one_line(line.decode(errors="replace").rstrip()))
    finally:
        child_signal.send(process, signal.SIGKILL)
        await process.wait()


class InOrder:
    """Puts the events of one machine in the order in which they happened."""

    def __init__(self) -> None:
        self._waiting: list[tuple[datetime, int, float, Event]] = []
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, event: Event, now_s: float) -> None:
        """now_s: monotonic."""
        heapq.heappush(self._waiting, (event.at, next(self._numbers), now_s, event))

    def due(self, now_s: float) -> Iterator[Event]:
        """Take out those before which none is expected any more: the first that came _LATE_S ago, and what
        happened before it."""
        old = [at for at, _, came_s, _ in self._waiting if came_s <= now_s - _LATE_S]
        while old and self._waiting and self._waiting[0][0] <= max(old):
            yield heapq.heappop(self._waiting)[-1]


async def follow(url: str, host: str, say: Say) -> None:
    """Print each event of `host` from now on, until cancelled. Waits for a broker that does not answer."""
    board = Board.connect(url)
    after: str | None = None
    events = InOrder()

    def tell(now_s: float) -> None:
        for event in events.due(now_s):
            say(f"{event.at.astimezone():%H:%M:%S} {one_line(event_text(event))}")

    try:
        while True:
            try:
                if after is None:
                    after = await asyncio.to_thread(board.last_event_id)
                wait_s = _LATE_S / 2 if events else _WAIT_S
                for event_id, event in await asyncio.to_thread(board.events, after, wait_s):
                    after = event_id
                    if event.host == host and event.kind not in FREQUENT_EVENTS:
                        events.add(event, time.monotonic())
            except BrokerError:  # its supervisor reports that
                await asyncio.sleep(_RETRY_S)
            tell(time.monotonic())
    finally:
        tell(float("inf"))
        board.close()
