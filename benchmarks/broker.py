"""A broker of the benchmark's own."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from plotman.supervisor import broker


@dataclass(frozen=True)
class Server:
    url: str
    pid: int


@contextmanager
def own_broker() -> Iterator[Server]:
    """The broker that `plotman up` brings along, on a free port, in a folder that goes with it."""
    with tempfile.TemporaryDirectory(prefix="plotman-bench-") as folder:
        state = Path(folder)
        url = broker.settle(state, lambda _: None).url
        process = subprocess.Popen(broker.argv(state), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while not broker.answers(url):
                time.sleep(0.05)
            yield Server(url, process.pid)
        finally:
            process.terminate()
            process.wait(timeout=10)
