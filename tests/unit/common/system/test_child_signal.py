from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Iterator

import psutil
import pytest

from common.system import child_signal
from tests.support.waiting import eventually


@pytest.fixture
def watcher() -> Iterator[None]:
    """Until Python 3.12 a thread of asyncio waits for children by default: who reaps one is chance then."""
    if sys.version_info >= (3, 12):
        yield
        return
    asyncio.set_child_watcher(asyncio.PidfdChildWatcher())
    yield
    asyncio.set_child_watcher(None)


def test_a_child_that_has_just_ended_keeps_its_exit_code(
    watcher: None, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> int:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(7)")
        child = psutil.Process(process.pid)
        # Without an await: the loop does not see its end.
        eventually(lambda: child.status() == psutil.STATUS_ZOMBIE, "it has ended")
        child_signal.send(process, signal.SIGKILL)
        return await process.wait()

    with caplog.at_level(logging.WARNING):
        assert asyncio.run(run()) == 7
    assert caplog.text == ""


def test_a_child_that_runs_is_signalled_and_one_that_was_waited_for_is_not() -> None:
    async def run() -> int:
        process = await asyncio.create_subprocess_exec("sleep", "60")
        child_signal.send(process, signal.SIGTERM)
        code = await process.wait()
        child_signal.send(process, signal.SIGKILL)
        return code

    assert asyncio.run(run()) == -signal.SIGTERM
