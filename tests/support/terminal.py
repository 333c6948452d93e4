"""A terminal with a program in it."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.support.waiting import eventually


@dataclass
class Terminal:
    """drawn: what the program wrote since somebody last waited for a text."""

    master: int
    process: subprocess.Popen[bytes]
    drawn: bytearray

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def shows(self, text: str) -> None:
        """Wait until a text is drawn that was not drawn before the last call."""
        try:
            eventually(lambda: text.encode() in self.drawn, f"{text!r} on the screen")
        except AssertionError as error:
            raise AssertionError(f"{error}; drawn: {self.drawn[-4000:].decode(errors='replace')}") from None
        self.drawn.clear()


@contextmanager
def terminal(
    argv: Sequence[str], environment: Mapping[str, str], columns: int = 100, lines: int = 30
) -> Iterator[Terminal]:
    """Run a program in a terminal; it is killed at the end.

    Args:
        argv: Of the program.
        environment: The same; TERM is added.
        columns: Width of the terminal.
        lines: Its height.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    process = subprocess.Popen(
        argv,
        env={**environment, "TERM": "xterm-256color"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    made = Terminal(master, process, bytearray())
    threading.Thread(target=_drain, args=(made,), daemon=True).start()
    try:
        yield made
    finally:
        process.kill()
        process.wait()
        os.close(master)


def _drain(terminal: Terminal) -> None:
    while True:
        try:
            terminal.drawn += os.read(terminal.master, 65536)
        except OSError:
            return
