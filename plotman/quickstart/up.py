"""`plotman up` of the quick start's farm."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from types import TracebackType
from typing import NoReturn, Self

from common.errors import BrokerError, PlotmanError
from common.store import Board
from common.store.connection import TIMEOUT_S
from plotman.control.farm import board
from plotman.quickstart.settings import Layout
from plotman.supervisor.logs import last_lines, open_log

_STOP_S = 60.0  # `plotman up` needs less to kill what does not stop
_LOOK_S = 0.5
_BROKER_S = 60.0  # until the broker's first answer


def first_contact(up: UpProcess) -> Board:
    """Wait for the broker of `plotman up`. Raises PlotmanError if it does not answer."""
    deadline_s = time.monotonic() + _BROKER_S
    while time.monotonic() < deadline_s:
        up.must_run()
        with suppress(BrokerError):
            at = board(TIMEOUT_S)
            try:
                at.ping()
            except BrokerError:
                at.close()
            else:
                return at
        time.sleep(_LOOK_S)
    raise PlotmanError(f"The broker does not answer within {_BROKER_S:.0f} s.", f"See {up.log}.")


class UpProcess:
    """Context manager: `plotman up` of this farm runs inside it. Its output goes to the file `log`."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.log = layout.logs / "up.log"

    def __enter__(self) -> Self:
        log = open_log(self.log)
        try:
            # exec_with_pdeathsig: it ends also if the quick start is killed. A session of its own: Ctrl-C
            # reaches the quick start only.
            self._process = subprocess.Popen(
                (
                    *(sys.executable, "-P", "-m", "plotman.supervisor.exec_with_pdeathsig", str(os.getpid())),
                    *(sys.executable, "-P", "-m", "plotman", "up", "-c", str(self._layout.config)),
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        finally:
            os.close(log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)  # a second one makes it stop at once
            try:
                self._process.wait(_STOP_S)
            except KeyboardInterrupt:
                continue
            except subprocess.TimeoutExpired:
                self._process.kill()

    def outlast(self) -> NoReturn:
        """Wait for its end, which Ctrl-C brings. Raises PlotmanError if it ends by itself."""
        while True:
            self.must_run()
            time.sleep(_LOOK_S)

    def must_run(self) -> None:
        """Raise PlotmanError with the last lines of its log if it has ended."""
        returncode = self._process.poll()
        if returncode is not None:
            lines = "\n".join(last_lines(self.log, 10))
            raise PlotmanError(f"`plotman up` ended ({returncode}):\n{lines}", f"See {self.log}.")
