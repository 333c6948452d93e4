"""A few Redis commands without redis-py, which takes longer to import than all else that `status` does.

Only what a look at the board needs: one connection, commands that read. hiredis, which redis-py uses as well
where it is installed, speaks the protocol. Whatever does not go smoothly is an error here, and the caller's
cue to ask redis-py, which knows more and says what is wrong.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import hiredis

_DEFAULT_PORT = 6379
_READ_BYTES = 1 << 16


class NeedsFullClient(Exception):
    """The server answered something that is not understood here, or refused."""


@dataclass(frozen=True)
class RedisAddress:
    """A server reached by plain TCP. user, password: None: it asks for none."""

    host: str
    port: int
    user: str | None
    password: str | None = field(repr=False)
    database: int

    @classmethod
    def of(cls, url: str) -> RedisAddress | None:
        """What a URL of a broker names; None for what is left to redis-py: TLS, unix sockets, options."""
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
    """Connects at once. patience_s: how long connecting, or waiting for more of an answer, may take.

    All methods raise OSError, NotPlain.
    """

    def __init__(self, address: RedisAddress, patience_s: float) -> None:
        self._socket = socket.create_connection((address.host, address.port), patience_s)
        self._reader = hiredis.Reader(
            protocolError=NeedsFullClient, replyError=NeedsFullClient, encoding="utf-8", errors="replace"
        )
        first: list[Sequence[str]] = []
        if address.password is not None:
            first.append(("AUTH", *filter(None, (address.user,)), address.password))
        if address.database:
            first.append(("SELECT", str(address.database)))
        self.ask(*first)

    def ask(self, *commands: Sequence[str]) -> list[Any]:
        """Send commands all at once; their answers are text, whole numbers, None, or lists of these."""
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
