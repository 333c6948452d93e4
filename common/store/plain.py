"""A few Redis commands without redis-py, which takes longer to import than all else that `status` does.

Only what a look at the board needs: one connection, commands that read. Whatever does not go smoothly is an
error here, and the caller's cue to ask redis-py, which knows more and says what is wrong. The protocol is
RESP2 (https://redis.io/docs/latest/develop/reference/protocol-spec/), which every server begins with.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

_DEFAULT_PORT = 6379


class NotPlain(Exception):
    """The server answered something that is not understood here, or refused."""


@dataclass(frozen=True)
class Address:
    """A server reached by plain TCP. user, password: None: it asks for none."""

    host: str
    port: int
    user: str | None
    password: str | None = field(repr=False)
    database: int

    @classmethod
    def of(cls, url: str) -> Address | None:
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


class Connection:
    """Connects at once. patience_s: how long connecting, or waiting for more of an answer, may take.

    All methods raise OSError, NotPlain.
    """

    def __init__(self, address: Address, patience_s: float) -> None:
        self._socket = socket.create_connection((address.host, address.port), patience_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answers = self._socket.makefile("rb")
        first: list[Sequence[str]] = []
        if address.password is not None:
            first.append(("AUTH", *filter(None, (address.user,)), address.password))
        if address.database:
            first.append(("SELECT", str(address.database)))
        self.ask(*first)

    def ask(self, *commands: Sequence[str]) -> list[Any]:
        """Send commands all at once; their answers are text, whole numbers, None, or lists of these."""
        self._socket.sendall(b"".join(map(_written, commands)))
        return [self._answer() for _ in commands]

    def close(self) -> None:
        self._answers.close()
        self._socket.close()

    def _answer(self) -> Any:
        line = self._answers.readline()
        kind, rest = line[:1], line[1:-2]
        if not line.endswith(b"\r\n") or kind not in b"+:$*":
            raise NotPlain(line[:80].decode(errors="replace"))
        if kind == b"+":
            return rest.decode()
        number = int(rest)
        if kind == b":":
            return number
        if number < 0:
            return None
        if kind == b"*":
            return [self._answer() for _ in range(number)]
        content = self._answers.read(number + 2)
        if len(content) != number + 2:
            raise NotPlain("the connection ended within an answer")
        return content[:-2].decode()


def _written(command: Sequence[str]) -> bytes:
    words = [word.encode() for word in command]
    return b"".join((b"*%d\r\n" % len(words), *(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)))
