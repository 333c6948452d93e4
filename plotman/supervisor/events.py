"""Prints the events of this host from the notice board."""

from __future__ import annotations

import asyncio

from common.errors import BrokerError
from common.model.text import one_line
from common.store import Board
from plotman.supervisor.supervised_process import Say

# How long a read of events may block. A stop waits for it, and takes as long anyway.
_WAIT_S = 3.0
_RETRY_S = 2.0

# Each event is a line on the terminal; phases would be too many.
SILENT = frozenset({"plot-phase"})


async def follow(url: str, host: str, say: Say) -> None:
    """Print each event of `host` from now on, until cancelled. Waits for a broker that does not answer."""
    board = Board.connect(url)
    after: str | None = None
    try:
        while True:
            try:
                if after is None:
                    after = await asyncio.to_thread(board.last_event_id)
                for event_id, event in await asyncio.to_thread(board.events, after, _WAIT_S):
                    after = event_id
                    if event.host == host and event.kind not in SILENT:
                        say(f"{event.at.astimezone():%H:%M:%S} {one_line(event.text)}")
            except BrokerError:  # its supervisor reports that
                await asyncio.sleep(_RETRY_S)
    finally:
        board.close()
