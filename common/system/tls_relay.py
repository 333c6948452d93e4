"""Relays one rsync connection through TLS, which rsync itself does not have.

A plotter runs this as a program between its rsync and the network: `ADDRESS PORT CERTIFICATE` is its
RSYNC_CONNECT_PROG, with the connection to rsync as stdin. It is a process, so that encryption uses a core of
its own and ends with its rsync. An interpreter that loads nothing else runs it by its path: it imports
nothing of plotman. A harvester relays in threads of its worker (harvester_worker.receiver.connection): a
process for each client would let strangers fill its memory.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import sys
import time
from pathlib import Path

CONNECT_S = 10.0
_UNACKNOWLEDGED_S = 60
_LINGER_S = 2.0
_BUFFER_BYTES = 256 << 10


def connecting(address: str, port: int, certificate: Path) -> list[str]:
    """argv of the program. certificate: PEM file; only its owner is accepted."""
    return [*_RUN, address, str(port), str(certificate)]


# -I and -S: only Python's own library is loaded, regardless of the environment, and quickly.
_RUN = (sys.executable, "-I", "-S", str(Path(__file__).resolve()))


def connect(address: str, port: int, certificate: Path) -> None:
    """Relay rsync's connection, which is stdin, to the receiver. Raises OSError, of which ssl.SSLError is
    one."""
    expected = certificate.read_text(encoding="ascii")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # The certificate itself is known. Its name proves nothing: a receiver may have several addresses.
    context.check_hostname = False
    context.load_verify_locations(cadata=expected)
    plain = socket.socket(fileno=0)
    with socket.create_connection((address, port), CONNECT_S) as raw:
        _keep_alive(raw)
        with context.wrap_socket(raw) as tls:
            if tls.getpeercert(binary_form=True) != ssl.PEM_cert_to_DER_cert(expected):
                raise ssl.SSLCertVerificationError("it is another certificate")
            carry(tls, plain)


def carry(tls: ssl.SSLSocket, plain: socket.socket) -> None:
    """Relay bytes both ways until the program at `plain` ends, which ends the connection. If the other side
    ends, the program gets an end of file."""
    tls.setblocking(False)
    plain.setblocking(False)
    inward, outward = _Inward(tls, plain), _Outward(plain, tls)
    with contextlib.suppress(OSError):  # one of the two has closed
        while not outward.ended:
            moved = inward.turn()
            if outward.turn() or moved:
                continue
            poll = select.poll()
            for end, wants in (
                (tls, inward.tls_wants | outward.tls_wants),
                (plain, inward.plain_wants | outward.plain_wants),
            ):
                if wants:  # else poll would return at once, again and again, after its end
                    poll.register(end, wants)
            poll.poll()
    with contextlib.suppress(OSError):  # also ssl.SSLError
        tls.settimeout(_LINGER_S)
        tls.unwrap()
    _close_gently(tls)


class _Flow:
    """One direction: its buffered bytes, and the events it waits for, as poll(2) has them."""

    def __init__(self) -> None:
        self.ended = False
        self.tls_wants = self.plain_wants = 0
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._from = self._to = 0  # the buffered bytes are between


class _Inward(_Flow):
    """From the network to the program, which gets an end of file after the last byte."""

    def __init__(self, source: ssl.SSLSocket, sink: socket.socket) -> None:
        super().__init__()
        self._source, self._sink = source, sink

    def turn(self) -> bool:
        """Move what can be moved now; returns False if nothing could."""
        self.tls_wants = self.plain_wants = 0
        moved = False
        if self._from == self._to and not self.ended:
            moved = self._fill()
        try:
            if self._from < self._to:
                self._from += self._sink.send(self._buffer[self._from : self._to])
                return True
            if moved and self.ended:
                self._sink.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            self.plain_wants = select.POLLOUT
        except OSError:
            # The program has ended; its last bytes may still be on their way out.
            self.ended, self._to = True, self._from
        return moved

    def _fill(self) -> bool:
        """Read records, of at most 16 KiB each, until there is none or the buffer is full."""
        self._from = self._to = 0
        try:
            while self._to < _BUFFER_BYTES:
                count = self._source.recv_into(self._buffer[self._to :])
                if count == 0:
                    self.ended = self._to == 0  # else the next call finds the end again
                    break
                self._to += count
        except ssl.SSLWantReadError:
            self.tls_wants = select.POLLIN
        except ssl.SSLWantWriteError:
            self.tls_wants = select.POLLOUT
        except OSError:
            self.ended = self._to == 0  # rsync notices missing bytes itself
        return self._to > 0 or self.ended


class _Outward(_Flow):
    """From the program to the network. ended: the program has ended, and all its bytes are sent."""

    def __init__(self, source: socket.socket, sink: ssl.SSLSocket) -> None:
        super().__init__()
        self._source, self._sink = source, sink

    def turn(self) -> bool:
        """Move what can be moved now; returns False if nothing could."""
        self.tls_wants = self.plain_wants = 0
        if self._from == self._to:
            try:
                self._from, self._to = 0, self._source.recv_into(self._buffer)
            except BlockingIOError:
                self.plain_wants = select.POLLIN
                return False
            except ConnectionResetError:
                self._to = 0
            if self._to == 0:
                self.ended = True
                return True
        begun = self._from
        try:
            while self._from < self._to:
                self._from += self._sink.send(self._buffer[self._from : self._to])
        except ssl.SSLWantWriteError:
            self.tls_wants = select.POLLOUT
        except ssl.SSLWantReadError:
            self.tls_wants = select.POLLIN
        return self._from > begun


def _close_gently(connection: socket.socket) -> None:
    """Wait briefly until the other side has read our last bytes: closing a connection with unread bytes
    resets it."""
    until_s = time.monotonic() + _LINGER_S
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_WR)  # bypasses TLS, as recv does
        while (left_s := until_s - time.monotonic()) > 0:
            connection.settimeout(left_s)
            if not socket.socket.recv(connection, 1 << 16):
                return


def _keep_alive(connection: socket.socket) -> None:
    """Have the kernel detect a dead network within about a minute, tcp(7)."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_S * 1000)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def main(arguments: list[str]) -> int:
    """Run the program; returns the exit code. Errors go to stderr as a sentence, which rsync's caller
    reads."""
    address, port, certificate = arguments
    receiver = f"the receiver at {address}:{port}"
    try:
        connect(address, int(port), Path(certificate))
    except ssl.SSLCertVerificationError as error:
        problem = f"{receiver} has another certificate than its ticket: {error}"
    except ssl.SSLError as error:
        problem = f"{receiver} does not speak TLS: {error.reason or error}"
    except OSError as error:
        problem = f"{receiver} does not answer: {error.strerror or error}"
    else:
        return 0
    print(problem, file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
