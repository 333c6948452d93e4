from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from plotman.supervisor import supervised_process as module
from plotman.supervisor.logs import ROTATE_BYTES, log_file
from plotman.supervisor.processes import Child, Stage
from plotman.supervisor.supervised_process import Pauses, SupervisedProcess, how_it_ended

WRITES = "import time\nwhile True: print('x' * 2**20, flush=True); time.sleep(0.01)"


def kept(state: Path, until: Callable[[list[str]], object], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keeps a process that writes a lot, until then; the output meanwhile."""
    monkeypatch.setattr(module, "_LOG_CHECK_S", 0.05)
    said: list[str] = []

    async def keep() -> None:
        child = Child("x", (sys.executable, "-c", WRITES), Stage.WORKERS)
        keeper = SupervisedProcess(child, state, said.append, lambda: None, Pauses())
        keeping = asyncio.create_task(keeper.keep())
        deadline = time.monotonic() + 30
        try:
            while not until(said):
                assert time.monotonic() < deadline, said
                await asyncio.sleep(0.01)
        finally:
            await keeper.stop(10, asyncio.Event())
            await keeping

    asyncio.run(keep())
    return said


def test_the_log_of_a_process_that_runs_on_is_put_aside_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_file(tmp_path, "x")
    said = kept(tmp_path, lambda _: log.with_name("x.log.2").exists(), monkeypatch)
    assert log.with_name("x.log.1").stat().st_size > ROTATE_BYTES
    assert len(said) == 1  # that it was started, and no end


def test_a_log_that_cannot_be_put_aside_is_told_of_once_and_its_process_runs_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_file(tmp_path, "x")
    log.with_name("x.log.new").mkdir(parents=True)
    much = 3 * ROTATE_BYTES
    said = kept(tmp_path, lambda said: said[1:] and log.stat().st_size > much, monkeypatch)
    assert [line for line in said if "cannot be rotated" in line] == said[1:]
    assert len(said) == 2


def test_pauses_double_up_to_the_longest_for_what_crashes_at_once() -> None:
    pauses, pause_s, seen = Pauses(), None, []
    for _ in range(9):
        pause_s = pauses.after(pause_s, lived_s=0.1)
        seen.append(pause_s)
    assert seen == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


@pytest.mark.parametrize(("lived_s", "pause_s"), [(0, 16), (59.9, 16), (60, 0.5), (3600, 0.5)])
def test_a_minute_of_life_is_a_new_beginning(lived_s: float, pause_s: float) -> None:
    assert Pauses().after(8, lived_s) == pause_s


@pytest.mark.parametrize(
    ("returncode", "words"),
    [(0, "exit code 0"), (1, "exit code 1"), (-9, "signal SIGKILL"), (-99, "signal 99")],
)
def test_how_a_process_ended_is_said_in_words(returncode: int, words: str) -> None:
    assert how_it_ended(returncode) == words


def test_a_process_that_is_needed_at_times_runs_while_its_file_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SHARE_CHECK_S", 0.02)
    needed, log = tmp_path / "needed", log_file(tmp_path, "x")
    said: list[str] = []

    async def until(condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, what
            await asyncio.sleep(0.01)

    async def keep() -> None:
        child = Child("x", (sys.executable, "-c", WRITES), Stage.WORKERS, needed_while=needed)
        keeper = SupervisedProcess(child, tmp_path, said.append, lambda: None, Pauses())
        keeping = asyncio.create_task(keeper.keep())
        try:
            await asyncio.wait_for(keeper.ready.wait(), 30)
            assert keeper.pid is None, "later stages start without it"
            for _ in range(2):
                needed.touch()
                await until(lambda: keeper.pid is not None and log.stat().st_size, "it runs")
                needed.unlink()
                await until(lambda: keeper.pid is None, "it has ended")
        finally:
            await keeper.stop(10, asyncio.Event())
            await keeping

    asyncio.run(keep())
    assert len(said) == 2, "two starts, and no end that is reported as a failure"
