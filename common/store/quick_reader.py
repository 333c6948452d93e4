"""Reads the notice board without redis-py, for verbs that look once and end.

The import of redis-py is a third of all work of `plotman status` (docs/adr/0019-quick-reader.md). hiredis,
which redis-py uses too, speaks the protocol. redis-py takes over for TLS, unix sockets, and after any error.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import hiredis

from common.store.board_reader import BoardReader, WrongType
from common.store.decode import Spoilt

_DEFAULT_PORT = 6379
_READ_BYTES = 1 << 16
# A slower server is left to redis-py with its longer timeouts.
_PATIENCE_S = 1.0


class NeedsFullClient(Exception):
    """The server refused, or answered something that is not understood here."""


def _refusal(text: str) -> Exception:
    """Make the answer of a refused command. Only keys of a wrong type are understood here."""
    return WrongType() if text.startswith("WRONGTYPE") else NeedsFullClient(text)


@dataclass(frozen=True)
class RedisAddress:
    """A server reached by plain TCP. user, password: None if it needs none."""

    host: str
    port: int
    user: str | None
    password: str | None = field(repr=False)
    database: int

    @classmethod
    def of(cls, url: str) -> RedisAddress | None:
        """Parse the URL of a broker; None for what is left to redis-py: TLS, unix sockets, options."""
        try:
            parts = urlsplit(url)
            port, database = parts.port or _DEFAULT_PORT, int(parts.path.strip("/") or 0)
        except ValueError:
            return None
        if parts.scheme != "redis" or not parts.hostname or parts.query or parts.fragment:
            return None
        user, password = (unquote(part) if part else None for part in (parts.username, parts.password))
        return cls(unquote(parts.hostname), port, user, password, database)


class RawConnection:
    """A connection, opened at once. All methods raise OSError and NeedsFullClient."""

    def __init__(self, address: RedisAddress, patience_s: float) -> None:
        """Connect. patience_s: timeout of the connection, and of each wait for more of an answer."""
        self._socket = socket.create_connection((address.host, address.port), patience_s)
        self._reader = hiredis.Reader(
            protocolError=NeedsFullClient, replyError=_refusal, encoding="utf-8", errors="replace"
        )
        first: list[Sequence[str]] = []
        if address.password is not None:
            first.append(("AUTH", *filter(None, (address.user,)), address.password))
        if address.database:
            first.append(("SELECT", str(address.database)))
        self.ask(*first)

    def ask(self, *commands: Sequence[str]) -> list[Any]:
        """Send commands all at once; their answers are text, whole numbers, None, lists of these, or
        WrongType."""
        # hiredis 3.5 types a command of one word only.
        self._socket.sendall(b"".join(hiredis.pack_command(tuple(command)) for command in commands))  # type: ignore[arg-type]
        return [self._answer() for _ in commands]

    def close(self) -> None:
        self._socket.close()

    def _answer(self) -> Any:
        while (answer := self._reader.gets()) is False:
            if not (more := self._socket.recv(_READ_BYTES)):
                raise NeedsFullClient("the connection ended within an answer")
            self._reader.feed(more)
        if isinstance(answer, NeedsFullClient):
            raise answer
        return answer


class QuickReader(BoardReader):
    """Reads the notice board. All methods raise BrokerError if Redis does not answer or refuses."""

    def __init__(self, url: str, patience_s: float | None = None) -> None:
        """Make a reader that connects with its first command.

        Args:
            url: redis://, rediss:// or unix://.
            patience_s: how long a command may take, in seconds; None: the default timeouts.
        """
        self._url, self._patience_s = url, patience_s
        self._address = RedisAddress.of(url)
        self._raw: RawConnection | None = None
        self._full: BoardReader | None = None
        self.spoilt = Spoilt()

    def close(self) -> None:
        if self._raw is not None:
            self._raw.close()

    def _ask(self, *commands: Sequence[str]) -> list[Any]:
        if self._full is None and self._address is not None:
            try:
                if self._raw is None:
                    self._raw = RawConnection(
                        self._address, min(_PATIENCE_S, self._patience_s or _PATIENCE_S)
                    )
                return [
                    dict(zip(answer[::2], answer[1::2], strict=True)) if command[0] == "HGETALL" else answer
                    for command, answer in zip(commands, self._raw.ask(*commands), strict=True)
                ]
            except (OSError, NeedsFullClient, ValueError):
                self.close()
        if self._full is None:
            from common.store.board import Board  # late: it imports redis-py

            self._full = Board.connect(self._url, self._patience_s)
        return self._full._ask(*commands)
