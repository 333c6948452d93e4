"""Asks hosts in threads, and posts what they answer. Daemons: whoever quits need not wait for an answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from textual.app import App

from common.errors import PlotmanError
from plotman.control.rpc import TaskCall


class Asker(Protocol):
    """plotman.control.rpc.ask_each, or what stands in for it."""

    def __call__(self, questions: Sequence[TaskCall], *, timeout_s: float) -> list[Any]: ...


def call_soon(app: App[Any], callback: Callable[..., object], *args: object) -> None:
    """Run `callback(*args)` in the app's own thread; for any thread. No-op once the app has ended."""
    with suppress(RuntimeError):  # its event loop may close between the check and the call
        if app.is_running:
            app.call_later(callback, *args)


class Errands:
    """look: shows the farm as it is now; called from any thread."""

    def __init__(self, app: App[Any], asker: Asker, look: Callable[[], None]) -> None:
        self._app = app
        self._asker = asker
        self._look = look

    def run(
        self, questions: Sequence[TaskCall], timeout_s: float, then: Callable[[list[Any]], object]
    ) -> None:
        """Ask; `then` gets the answers in the app's own thread, in order, errors as PlotmanError.

        By then the farm was looked at once more: what was done is told when it is seen, since a key that
        turns something off and on goes by what is seen.
        """
        threading.Thread(
            target=self._ask, args=(tuple(questions), timeout_s, then), name="dashboard-errand", daemon=True
        ).start()

    def _ask(
        self, questions: tuple[TaskCall, ...], timeout_s: float, then: Callable[[list[Any]], object]
    ) -> None:
        try:
            answers = self._asker(questions, timeout_s=timeout_s)
        except PlotmanError as error:
            answers = [error] * len(questions)
        self._look()
        call_soon(self._app, then, answers)
