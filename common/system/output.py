"""What this process writes to its terminal and its log: everything passes the cleaner."""

from __future__ import annotations

import errno
import io
import logging
import sys
import textwrap
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from common.model.text import log_text, on_terminal, one_line

FULL = (errno.ENOSPC, errno.EDQUOT)
_LONGEST_MESSAGE = 16_384  # of a log, in characters
_LONGEST_TRACEBACK = 65_536
_CLEAR = "\x1b[H\x1b[J"  # ANSI: to the upper left corner, and erase from there


class _CleanStream:
    """A text stream that escapes what would control a terminal.

    Its `buffer` is hidden: click would write to that, past this stream, in a locale without UTF-8.

    may_be_full: drop what does not fit on a full disk.
    """

    may_be_full = False

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str | bytes) -> int:
        if isinstance(text, bytes):  # of click, which finds no `buffer`
            text = text.decode("utf-8", "backslashreplace")
        with self._unless_full():
            self._stream.write(on_terminal(text))
        return len(text)

    def flush(self) -> None:
        with self._unless_full():
            self._stream.flush()

    @contextmanager
    def _unless_full(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if not self.may_be_full or error.errno not in FULL:
                raise

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":
            raise AttributeError(name)
        return getattr(self._stream, name)


def clear_screen() -> None:
    """Erase the terminal, and begin in its upper left corner. Only our own codes pass the cleaner."""
    stream = sys.stdout._stream if isinstance(sys.stdout, _CleanStream) else sys.stdout
    stream.write(_CLEAR)


class _CleanRecord(logging.LogRecord):
    """A record whose message is one line. Its traceback is indented, so that an exception's text forges no
    record."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(self.exc_info, tuple) and self.exc_info[0] is not None:
            # A formatter makes this text only if it is missing.
            self.exc_text = _indented("".join(traceback.format_exception(*self.exc_info)))
        if self.stack_info:
            self.stack_info = _indented(self.stack_info)

    def getMessage(self) -> str:
        return one_line(super().getMessage(), _LONGEST_MESSAGE)


def _indented(text: str) -> str:
    return textwrap.indent(log_text(text.rstrip("\n"))[-_LONGEST_TRACEBACK:], "  ", lambda _: True)


def outlive_full_disk() -> None:
    """Drop output that does not fit on its disk, after `clean_output`: for a process whose work is worth more
    than its log."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, _CleanStream):
            stream.may_be_full = True
            setattr(sys, f"__{name}__", stream)  # Celery's banner and log go there


def clean_output() -> None:
    """Clean all that this process prints and logs from now on. No-op when called again.

    Celery, Tornado and uncaught exceptions print what other machines wrote, too: to clean it in our own calls
    is not enough.
    """
    logging.setLogRecordFactory(_CleanRecord)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or isinstance(stream, _CleanStream):
            continue
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
        setattr(sys, name, cast("TextIO", _CleanStream(stream)))
