"""The farm's processes, as a child of the quick start: `plotman up`, which ends when we do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from types import TracebackType
from typing import Self

from common.errors import PlotmanError
from plotman.quickstart.layout import Layout
from plotman.supervisor.logs import last_lines, open_log

_STOP_S = 60.0  # `plotman up` kills what does not stop long before this


class Up:
    """`plotman up` for this farm, from entering to leaving the context. It says what it does in `log`."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.log = layout.logs / "up.log"

    def __enter__(self) -> Self:
        log = open_log(self.log)
        try:
            # Through our launcher, so that a killed quick start leaves nothing running; in a session of
            # its own, so that Ctrl-C is ours to handle.
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
            self._process.send_signal(signal.SIGTERM)  # a second one hastens it
            try:
                self._process.wait(_STOP_S)
            except KeyboardInterrupt:
                continue
            except subprocess.TimeoutExpired:
                self._process.kill()

    def must_run(self) -> None:
        """Raises PlotmanError, with its last words, when it has ended."""
        returncode = self._process.poll()
        if returncode is not None:
            words = "\n".join(last_lines(self.log, 10))
            raise PlotmanError(f"`plotman up` ended ({returncode}):\n{words}", f"See {self.log}.")
