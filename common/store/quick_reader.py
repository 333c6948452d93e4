"""The board for one short look: what a verb that only shows it needs, and no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from common.store.board_reader import BoardReader
from common.store.raw_redis import NeedsFullClient, RawConnection, RedisAddress

# A server that takes longer is asked by redis-py, with all the patience that it has.
_PATIENCE_S = 1.0


class QuickReader(BoardReader):
    """All methods raise BrokerError when Redis is away or refuses."""

    def __init__(self, url: str, patience_s: float | None = None) -> None:
        """Connects with the first command. patience_s: how long a command may take; None: as long as is
        usual."""
        self._url, self._patience_s = url, patience_s
        self._address = RedisAddress.of(url)
        self._plain: RawConnection | None = None
        self._slow: BoardReader | None = None

    def close(self) -> None:
        if self._plain is not None:
            self._plain.close()

    def _ask(self, *commands: Sequence[str]) -> list[Any]:
        if self._slow is None and self._address is not None:
            try:
                if self._plain is None:
                    self._plain = RawConnection(
                        self._address, min(_PATIENCE_S, self._patience_s or _PATIENCE_S)
                    )
                return [
                    dict(zip(answer[::2], answer[1::2], strict=True)) if command[0] == "HGETALL" else answer
                    for command, answer in zip(commands, self._plain.ask(*commands), strict=True)
                ]
            except (OSError, NeedsFullClient, ValueError):
                self.close()
        if self._slow is None:
            from common.store.board import Board  # late: it brings redis-py along

            self._slow = Board.connect(self._url, self._patience_s)
        return self._slow._ask(*commands)
