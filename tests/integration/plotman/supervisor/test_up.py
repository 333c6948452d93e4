"""The supervisor with real processes: an embedded broker, and small programs in the place of workers."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from common.config.broker_url import embedded_broker
from common.model.snapshot import Event
from common.store import Board
from plotman.supervisor.companions import follow, tell_problems
from plotman.supervisor.locks import InstanceLock
from tests.support.installed import python

# A supervisor whose processes are an embedded broker and programs of the test's own.
DRIVER = """
import asyncio, sys
from pathlib import Path
from plotman.supervisor import broker
from plotman.supervisor.locks import InstanceLock
from plotman.supervisor.processes import Child, Stage
from plotman.supervisor.up import stop_what_was_left
from plotman.supervisor.supervisor import Supervisor
from plotman.supervisor.supervised_process import Pauses

state, program, stop_s = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
say = lambda text: print(text, flush=True)
claim = InstanceLock(state)
stop_what_was_left(claim, say, timeout_s=1)
url = broker.settle(state, say).url
children = [
    Child("broker", broker.argv(state), Stage.BROKER, ready_url=url),
    Child("worker", (sys.executable, "-c", program), Stage.WORKERS, {"URL": url}),
    Child("beat", (sys.executable, "-c", program), Stage.DECISIONS),
]
asyncio.run(Supervisor(children, state, say, pauses=Pauses(first_s=0.1), stop_s=stop_s).run(claim))
say("Stopped.")
"""
SLEEPS = "import time; print('up', flush=True); time.sleep(1000)"
CRASHES = "import sys; print('no disk today', flush=True); sys.exit(3)"
IGNORES_SIGTERM = (
    "import signal\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('deaf', flush=True)\n"
    "while True: signal.pause()"
)
NOTES_WHOSE_IT_IS = (
    "import os, signal, sys, time\n"
    "ours = lambda: os.environ['PLOTMAN_SUPERVISOR'] == str(os.getppid())\n"
    "began = ours()\n"
    "def stop(*_):\n"
    "    time.sleep(0.2)\n"
    "    open('stops', 'a').write(f'{began} {ours()}\\n')\n"
    "    sys.exit()\n"
    "signal.signal(signal.SIGTERM, stop)\n"
    "print('up', flush=True)\n"
    "open('ups', 'a').write('up\\n')\n"
    "time.sleep(1000)"
)
NOTES_ITS_STOP = (
    "import os, signal, sys, time\n"
    "def stop(*_):\n"
    "    time.sleep(0.2)\n"
    "    open('stops', 'a').write('worker\\n' if 'URL' in os.environ else 'beat\\n')\n"
    "    sys.exit()\n"
    "signal.signal(signal.SIGTERM, stop)\n"
    "print('up', flush=True)\n"
    "time.sleep(1000)"
)
STARTS_A_PLOTTER = (
    "import subprocess, time\n"
    "p = subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
    "open('plotter.pid', 'a').write(f'{p.pid}\\n')\n"
    "time.sleep(1000)"
)


def eventually(condition: Callable[[], object], what: str, timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not in {timeout_s} s: {what}"
        time.sleep(0.02)


class Running:
    """A supervisor under test, and its output."""

    def __init__(self, state: Path, program: str, stop_s: float) -> None:
        state.mkdir(exist_ok=True)
        self.state = state
        self._said = state.parent / f"said-{time.monotonic_ns()}"
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(
                [python(), "-c", DRIVER, str(state), program, str(stop_s)], stdout=said, stderr=said
            )

    @property
    def said(self) -> str:
        return self._said.read_text()

    def says(self, text: str, times: int = 1) -> None:
        eventually(lambda: self.said.count(text) >= times, f"{text!r} in:\n{self.said}")

    def pid(self, name: str) -> int:
        """Of the process that was last started under this name."""
        lines = [line for line in self.said.splitlines() if line.startswith(f"{name} ") and "(pid " in line]
        return int(lines[-1].split("(pid ")[1].rstrip(")."))

    def pids(self) -> list[int]:
        return [self.pid(name) for name in ("broker", "worker", "beat")]

    def ends(self) -> int:
        return self.process.wait(20)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Running]]:
    started: list[Running] = []

    def start_one(program: str) -> Running:
        stop_s = 1 if program == IGNORES_SIGTERM else 10
        started.append(Running(tmp_path / "state", program, stop_s))
        return started[-1]

    yield start_one
    for running in started:
        running.process.terminate()
        running.ends()
    plotters = tmp_path / "state/plotter.pid"
    for pid in plotters.read_text().split() if plotters.exists() else []:
        if psutil.pid_exists(int(pid)):
            os.kill(int(pid), signal.SIGKILL)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_processes_start_in_order_and_stop_in_the_reverse_order(start: Callable[[str], Running]) -> None:
    running = start(NOTES_ITS_STOP)
    running.says("beat started")
    for name in ("worker", "beat"):
        eventually(lambda name=name: "up" in read(running.state / f"logs/{name}.log"), f"{name} listens")
    names = [line.split()[0] for line in running.said.splitlines() if " started " in line]
    assert names == ["broker", "worker", "beat"]
    assert (running.state / "logs/broker.log").exists()
    running.process.send_signal(signal.SIGINT)
    assert running.ends() == 0
    assert running.said.endswith("Stopped.\n")
    assert read(running.state / "stops").split() == ["beat", "worker"]
    assert "killing" not in running.said
    assert all(gone(pid) for pid in running.pids())


def test_a_plotman_in_the_folder_of_the_processes_is_not_run(
    start: Callable[[str], Running], tmp_path: Path
) -> None:
    stranger = tmp_path / "state/plotman"
    stranger.mkdir(parents=True)
    (stranger / "__init__.py").write_text("raise SystemExit('not the installed one')")
    running = start(SLEEPS)
    running.says("beat started")
    eventually(lambda: "up" in read(running.state / "logs/beat.log"), "beat runs")
    assert "ended" not in running.said


def test_a_process_that_is_killed_comes_back(start: Callable[[str], Running]) -> None:
    running = start(SLEEPS)
    running.says("beat started")
    killed = running.pid("worker")
    os.kill(killed, signal.SIGKILL)
    running.says("worker ended (signal SIGKILL)")
    running.says("worker started again")
    assert running.pid("worker") != killed
    assert not gone(running.pid("worker"))


def test_a_killed_broker_comes_back_at_its_address_with_what_it_held(start: Callable[[str], Running]) -> None:
    from common.store import Board

    running = start(SLEEPS)
    running.says("beat started")
    address = embedded_broker(running.state)
    assert address
    board = Board.connect(address.url)
    board._redis.set("kept", "yes")
    # Each command is in the file before it is answered; only a power cut loses the last second.
    os.kill(running.pid("broker"), signal.SIGKILL)
    running.says("broker started again")
    assert embedded_broker(running.state) == address
    assert board._redis.get("kept") == "yes"
    board.close()


def test_a_process_that_crashes_at_once_is_tried_less_and_less_and_its_last_words_are_shown(
    start: Callable[[str], Running],
) -> None:
    running = start(CRASHES)
    running.says("worker ended (exit code 3)", times=3)
    ends = [line for line in running.said.splitlines() if "worker ended" in line]
    assert [line.split("again in ")[1].split(" s")[0] for line in ends[:3]] == ["0.1", "0.2", "0.4"]
    assert "    no disk today\n" in running.said


def test_one_that_ignores_sigterm_is_killed_at_the_deadline(start: Callable[[str], Running]) -> None:
    running = start(IGNORES_SIGTERM)
    eventually(lambda: "deaf" in read(running.state / "logs/beat.log"), "beat is deaf")
    eventually(lambda: "deaf" in read(running.state / "logs/worker.log"), "worker is deaf")
    running.process.terminate()
    assert running.ends() == 0
    assert "worker does not stop; killing it" in running.said
    assert all(gone(pid) for pid in running.pids())


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_stopping_leaves_the_plotters_alone(start: Callable[[str], Running]) -> None:
    running = start(STARTS_A_PLOTTER)
    plotters = running.state / "plotter.pid"
    eventually(lambda: len(read(plotters).split()) == 2, "two plotters")
    running.process.terminate()
    assert running.ends() == 0
    assert not any(gone(int(pid)) for pid in plotters.read_text().split())


def test_when_the_supervisor_is_killed_its_processes_follow_but_the_plotters_do_not(
    start: Callable[[str], Running],
) -> None:
    running = start(STARTS_A_PLOTTER)
    plotters = running.state / "plotter.pid"
    eventually(lambda: len(read(plotters).split()) == 2, "two plotters")
    running.says("beat started")
    running.process.kill()
    eventually(lambda: all(gone(pid) for pid in running.pids()), "the processes are gone")
    assert not any(gone(int(pid)) for pid in plotters.read_text().split())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_process_knows_whether_its_supervisor_stops_it_or_has_died(
    start: Callable[[str], Running], number: signal.Signals
) -> None:
    running = start(NOTES_WHOSE_IT_IS)
    eventually(lambda: len(read(running.state / "ups").split()) == 2, "two processes")
    running.process.send_signal(number)
    stops = running.state / "stops"
    eventually(lambda: len(read(stops).splitlines()) == 2, "both stop")
    assert set(read(stops).splitlines()) == {f"True {number == signal.SIGTERM}"}


def test_the_next_supervisor_stops_what_a_killed_one_left(start: Callable[[str], Running]) -> None:
    killed = start(IGNORES_SIGTERM)
    eventually(lambda: "deaf" in read(killed.state / "logs/beat.log"), "beat is deaf")
    eventually(lambda: "deaf" in read(killed.state / "logs/worker.log"), "worker is deaf")
    left = killed.pids()
    killed.process.kill()
    killed.ends()
    assert not gone(left[1])

    running = start(SLEEPS)
    running.says("beat started")
    assert "An earlier `plotman up` was killed; stopping its processes" in running.said
    assert f"worker (pid {left[1]}), beat (pid {left[2]})" in running.said
    assert all(gone(pid) for pid in left)


def test_only_one_supervisor_runs_in_a_state_folder(start: Callable[[str], Running]) -> None:
    running = start(SLEEPS)
    running.says("beat started")
    second = start(SLEEPS)
    assert second.ends() == 1
    assert f"already runs for {running.state} (pid {running.process.pid})" in second.said
    assert not any(gone(pid) for pid in running.pids())


def test_the_lock_of_a_state_folder_ends_with_its_supervisor(start: Callable[[str], Running]) -> None:
    running = start(SLEEPS)
    running.says("beat started")
    running.process.terminate()
    running.ends()
    InstanceLock(running.state).release()


def test_events_of_this_host_are_printed_with_the_short_id_of_their_plot(
    broker_url: str, board: Board
) -> None:
    said: list[str] = []
    plot_id, now = "ab" * 32, datetime.now(UTC)

    async def listen() -> None:
        following = asyncio.create_task(follow(broker_url, "p1", said.append))
        while not said:
            for host in ("p2", "p1"):
                text = f"/dst/plot-k32-2026-11-22-15-48-{plot_id}.plot was \x1b[31m sent"
                board.tell(Event(kind="sent", host=host, at=now, text=text, plot_id=plot_id))
            await asyncio.sleep(0.05)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    asyncio.run(asyncio.wait_for(listen(), 20))
    assert said[0] == f"{now.astimezone():%H:%M:%S} abababab was \\x1b[31m sent"


def test_a_stop_prints_the_events_that_still_waited_for_their_turn(broker_url: str, board: Board) -> None:
    said: list[str] = []

    async def listen() -> None:
        following = asyncio.create_task(follow(broker_url, "p1", said.append))
        for _ in range(20):  # when it begins to listen is not known
            board.tell(Event(kind="sent", host="p1", at=datetime.now(UTC), text="sent"))
            await asyncio.sleep(0.05)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    asyncio.run(asyncio.wait_for(listen(), 20))
    assert said


@pytest.mark.parametrize("text", ["version: [2]\nfarm: {flower_prot: 1}\n"], ids=["misspelt"])
def test_mistakes_in_plotman_yaml_are_printed_beside_the_processes(tmp_path: Path, text: str) -> None:
    (file := tmp_path / "plotman.yaml").write_text(text)
    said: list[str] = []
    asyncio.run(tell_problems(file, said.append))
    assert any(line.startswith(f"{file}:2: farm.flower_prot") for line in said), said


def test_the_check_of_plotman_yaml_ends_with_the_stop(tmp_path: Path) -> None:
    os.mkfifo(file := tmp_path / "plotman.yaml")  # its reader waits for ever

    async def stopped() -> None:
        telling = asyncio.create_task(tell_problems(file, print))
        while not (checks := _checks_of(file)):
            await asyncio.sleep(0.05)
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        assert all(gone(pid) for pid in checks)

    asyncio.run(asyncio.wait_for(stopped(), 30))


def _checks_of(file: Path) -> list[int]:
    return [one.pid for one in psutil.Process().children() if str(file) in one.cmdline()]
