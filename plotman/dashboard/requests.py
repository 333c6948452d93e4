"""Calls tasks on hosts in daemon threads, so that quitting does not wait for an answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from textual.dom import DOMNode

from common.errors import PlotmanError
from plotman.control.rpc import TaskCall, hang_up


class Asker(Protocol):
    """plotman.control.rpc.ask_each, or what tests use in its place."""

    def __call__(self, questions: Sequence[TaskCall], *, timeout_s: float) -> list[Any]: ...


def call_soon(node: DOMNode, callback: Callable[..., object], *args: object) -> None:
    """Run `callback(*args)` in Textual's thread; from any thread. No-op once the app or screen has ended."""
    with suppress(RuntimeError):  # its event loop may close between the check and the call
        if node.is_running:
            node.call_later(callback, *args)


def start_thread(name: str, target: Callable[..., object], *args: object) -> None:
    """Run `target(*args)`, which may call tasks, in a daemon thread."""

    def run() -> None:
        try:
            target(*args)
        finally:
            hang_up()

    threading.Thread(target=run, name=name, daemon=True).start()


class Requests:
    """screen: gets the answers. refresh: shows the farm as it is now; called from any thread."""

    def __init__(self, screen: DOMNode, asker: Asker, refresh: Callable[[], None]) -> None:
        self._screen = screen
        self._asker = asker
        self._refresh = refresh

    def run(self, calls: Sequence[TaskCall], timeout_s: float, then: Callable[[list[Any]], object]) -> None:
        """Call the tasks; `then` gets the answers in Textual's thread, in order, errors as PlotmanError.

        The farm is read again before: an answer is shown together with its effect, because a key that toggles
        goes by the state that is shown.
        """
        start_thread("dashboard-request", self._ask, tuple(calls), timeout_s, then)

    def _ask(
        self, calls: tuple[TaskCall, ...], timeout_s: float, then: Callable[[list[Any]], object]
    ) -> None:
        try:
            answers = self._asker(calls, timeout_s=timeout_s)
        except PlotmanError as error:
            answers = [error] * len(calls)
        self._refresh()
        call_soon(self._screen, then, answers)
