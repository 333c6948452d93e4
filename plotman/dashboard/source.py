"""Reads the farm from the board, for the feed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from common.model.snapshot import Event
from common.names import Role
from common.store import Board
from plotman.control.farm import FarmState, read_farm
from plotman.dashboard.feed import LOG_KEPT


class BoardSource:
    """connect: called before the first use and after each failure: the broker's address may have changed."""

    def __init__(self, connect: Callable[[], Board]) -> None:
        self._connect = connect
        self._board: Board | None = None
        self._known: dict[tuple[Role, str], tuple[str, Any]] = {}

    def read(self) -> FarmState:
        try:
            return read_farm(self._connected(), self._known)
        except Exception:
            self._forget()
            raise

    def events(self, after: str | None, wait_s: float) -> list[tuple[str, Event]]:
        try:
            board = self._connected()
            return board.newest_events(LOG_KEPT) if after is None else board.events(after, wait_s)
        except Exception:
            self._forget()
            raise

    def _connected(self) -> Board:
        if self._board is None:
            self._board = self._connect()
        return self._board

    def _forget(self) -> None:
        board, self._board = self._board, None
        if board is not None:
            board.close()
