"""`plotman up` as a child of the quick start."""

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

_STOP_S = 60.0  # `plotman up` needs less to kill what does not stop


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

    def must_run(self) -> None:
        """Raise PlotmanError with the last lines of its log if it has ended."""
        returncode = self._process.poll()
        if returncode is not None:
            lines = "\n".join(last_lines(self.log, 10))
            raise PlotmanError(f"`plotman up` ended ({returncode}):\n{lines}", f"See {self.log}.")
