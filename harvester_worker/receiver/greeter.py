"""Clients of the receivers until they say hello: few, for seconds, and without a process for each."""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

log = logging.getLogger(__name__)

# Clients that are not admitted to a module, from one address and in all; the oldest makes room for another.
PER_ADDRESS, IN_ALL = 8, 64

HELLO = b"@RSYNCD:"  # rsync's client says it first, without waiting for the server
_TLS_HANDSHAKE = b"\x16"  # content type of TLS' first record, RFC 8446 5.1
_FIRST_BYTES = 4096
# In words of rsync's daemon protocol, so that an rsync prints it and ends.
_ANSWER = b"@RSYNCD: 31.0\n@ERROR: %s\n"


class _Refused(Exception):
    """answer: for the client, or None if it has closed the connection."""

    def __init__(self, why: str, answer: bytes | None = None) -> None:
        super().__init__(why)
        self.answer = answer


class ThrottledLog:
    """Warnings that anybody in the network can cause: of each kind one in EVERY_S, with the number of the
    others."""

    EVERY_S = 60.0

    def __init__(self) -> None:
        self._last: dict[
            str, tuple[float, int]
        ] = {}  # by action: monotonic time of the last one, others since

    def warning(self, action: str, text: str) -> None:
        now_s = time.monotonic()
        last_s, others = self._last.get(action, (float("-inf"), 0))
        if now_s - last_s < self.EVERY_S:
            self._last[action] = last_s, others + 1
            return
        self._last[action] = now_s, 0
        log.warning(
            "%s%s", text, f" ({others} more like it before)" if others else "", extra={"action": action}
        )


class Stranger(Protocol):
    """A client that is not admitted."""

    @property
    def address(self) -> str: ...
    @property
    def since_s(self) -> float: ...
    def end(self) -> None: ...


@dataclass(slots=True, eq=False)
class Client:
    """since_s: monotonic time of its connection. hello: first bytes, which TLS has taken from the socket."""

    connection: socket.socket
    address: str
    since_s: float
    hello: bytes = b""

    def end(self) -> None:
        """Close the connection."""
        self.connection.close()


def crowded_out(strangers: Iterable[Stranger], address: str) -> Stranger | None:
    """Which stranger makes room for another client from `address`: the oldest one from there, if it has its
    share, else the oldest one from the address with the most. None: there is room."""
    known = sorted(strangers, key=lambda each: each.since_s)
    counts = Counter(each.address for each in known)
    if counts[address] >= PER_ADDRESS:
        crowd = address
    elif len(known) >= IN_ALL:
        crowd = counts.most_common(1)[0][0]
    else:
        return None
    return next(each for each in known if each.address == crowd)


class Greeter:
    """Accepts connections. One thread calls `turn`."""

    def __init__(
        self,
        listening: socket.socket,
        tls: ssl.SSLContext | None,
        hello_s: float,
        served: Callable[[], Sequence[Stranger]],
        log: ThrottledLog,
    ) -> None:
        """
        Args:
            tls: Refuse clients without TLS; None: clients speak rsync's protocol directly.
            hello_s: Seconds for the handshake and the hello.
            served: Clients after their hello that are not admitted.
        """
        self._listening, self._tls, self._hello_s = listening, tls, hello_s
        self._served, self._log = served, log
        self._clients: list[Client] = []
        self._selector = selectors.DefaultSelector()
        listening.setblocking(False)
        self._selector.register(listening, selectors.EVENT_READ)

    def turn(self, wait_s: float) -> list[Client]:
        """Wait for connections and bytes; returns the clients whose hello came."""
        ready = []
        for key, _ in self._selector.select(wait_s):
            if key.data is None:
                with contextlib.suppress(OSError):
                    self._accept(*self._listening.accept())
            elif key.data in self._clients and self._advanced(key.data):
                self._leave(key.data)
                ready.append(key.data)
        now_s = time.monotonic()
        for client in [each for each in self._clients if now_s - each.since_s > self._hello_s]:
            self._warn(client.address, f"no hello came within {self._hello_s:g} s")
            self._drop(client)
        return ready

    def close(self) -> None:
        """Close the connections, and stop to listen."""
        for client in list(self._clients):
            self._drop(client)
        self._selector.close()
        self._listening.close()

    def _accept(self, accepted: socket.socket, address: tuple[object, ...]) -> None:
        client = Client(accepted, str(address[0]).removeprefix("::ffff:"), time.monotonic())
        if (other := crowded_out([*self._clients, *self._served()], client.address)) is not None:
            if isinstance(other, Client):
                self._drop(other)
            else:
                other.end()
            self._warn(other.address, "too many clients have not given a password")
        accepted.setblocking(False)
        # A client that sends less does not wake us; the end of the connection does.
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1 if self._tls else len(HELLO))
        self._clients.append(client)
        self._selector.register(accepted, selectors.EVENT_READ, client)

    def _advanced(self, client: Client) -> bool:
        """Read what there is; returns whether the client's hello came."""
        try:
            if self._tls is None:
                heard = client.connection.recv(len(HELLO), socket.MSG_PEEK)
            else:
                heard = client.hello = self._decrypted(client, self._tls)
            if not heard.startswith(HELLO):
                raise _Refused(
                    "it does not speak rsync's protocol", b"protocol startup error" if heard else None
                )
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            wants = selectors.EVENT_READ if isinstance(error, ssl.SSLWantReadError) else selectors.EVENT_WRITE
            self._selector.modify(client.connection, wants, client)
            return False
        except BlockingIOError:
            return False
        except _Refused as error:
            if error.answer is not None:
                with contextlib.suppress(OSError):  # unread bytes would reset the connection
                    socket.socket.recv(client.connection, _FIRST_BYTES)
                with contextlib.suppress(OSError):
                    client.connection.sendall(_ANSWER % error.answer)
                self._warn(client.address, str(error))
            self._drop(client)
            return False
        except OSError as error:
            self._warn(client.address, "the TLS handshake failed" if self._tls else str(error))
            self._drop(client)
            return False
        client.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        client.connection.setblocking(True)
        return True

    def _decrypted(self, client: Client, tls: ssl.SSLContext) -> bytes:
        """The client's first bytes. Raises ssl.SSLWantReadError before they come, and _Refused without
        TLS."""
        connection = client.connection
        if not isinstance(connection, ssl.SSLSocket):
            first = connection.recv(1, socket.MSG_PEEK)
            if first != _TLS_HANDSHAKE:
                raise _Refused(
                    "it speaks no TLS, which harvester.receiver_tls requires; is its plotman older?",
                    b"this harvester takes plots by TLS only (harvester.receiver_tls): "
                    b"install its version of plotman on this plotter"
                    if first
                    else None,
                )
            self._selector.unregister(connection)
            connection = tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            client.connection = connection
            self._selector.register(connection, selectors.EVENT_READ, client)
        return connection.recv(_FIRST_BYTES)  # after the handshake, which it does

    def _leave(self, client: Client) -> None:
        self._clients.remove(client)
        with contextlib.suppress(KeyError, ValueError):  # wrapping it failed, which closed it
            self._selector.unregister(client.connection)

    def _drop(self, client: Client) -> None:
        self._leave(client)
        client.end()

    def _warn(self, address: str, why: str) -> None:
        self._log.warning("stranger", f"a client at {address} was refused: {why}")
