"""Says what happens on this host, as the notice board tells it."""

from __future__ import annotations

import asyncio

from common.errors import BrokerError
from common.model.messages import one_line
from common.store import Board
from plotman.supervisor.supervisor import Say

# How long a look for events may block. Stopping waits for it; but stopping the processes takes as long.
_WAIT_S = 3.0
_RETRY_S = 2.0

# Each of these is a line on the terminal; phases would drown them.
SILENT = frozenset({"plot-phase"})


async def follow(url: str, host: str, say: Say) -> None:
    """Say each event of `host` from now on, until cancelled. A broker that is away is waited for."""
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
            except BrokerError:  # its end is said by whoever keeps it running
                await asyncio.sleep(_RETRY_S)
    finally:
        board.close()
