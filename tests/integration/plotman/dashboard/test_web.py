"""Sessions of `plotman interactive --web` end with their browser and with the server, however those end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.installed import python
from tests.support.one_drive import one_drive
from tests.support.ports import free_port
from tests.support.waiting import eventually

GONE_S = 10.0


@pytest.fixture
def environment(tmp_path: Path, broker_url: str) -> dict[str, str]:
    return one_drive(tmp_path, broker_url, "watched")


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with another plotman in it, which cannot run."""
    package = tmp_path / "checkout/plotman"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('not the installed one')")
    return package.parent


@pytest.fixture
def server(environment: dict[str, str], port: int, checkout: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The installed plotman, started in the checkout of another."""
    process = subprocess.Popen(
        [python(), "-P", "-m", "plotman", "interactive", "--web", str(port)],
        env=environment,
        cwd=checkout,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    assert b"http://" in process.stderr.readline()  # it is about to listen
    yield process
    for session in sessions(process):
        session.kill()
    process.kill()
    process.wait()
    process.stderr.close()


def sessions(server: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return psutil.Process(server.pid).children(recursive=True) if server.poll() is None else []


BROWSER = """
import asyncio, sys, aiohttp
async def main():
    async with aiohttp.ClientSession() as http:
        for _ in range(300):
            try:
                socket = await http.ws_connect(sys.argv[1])
                break
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.1)
        async for message in socket:
            if b"Plotting" in message.data or b"plotter" in message.data:
                print("drawn", flush=True)
asyncio.run(main())
"""


@pytest.fixture
def browser(server: subprocess.Popen[bytes], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """In a browser's stead, once it was drawn to."""
    url = f"ws://127.0.0.1:{port}/ws?width=200&height=50"
    process = subprocess.Popen([sys.executable, "-c", BROWSER, url], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"drawn\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_session_runs_the_installed_plotman_wherever_the_server_was_started(
    server: subprocess.Popen[bytes], browser: subprocess.Popen[bytes]
) -> None:
    assert browser.poll() is None
    assert len(sessions(server)) == 1


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["closed", "asleep"])
def test_a_session_ends_with_its_browser(
    server: subprocess.Popen[bytes], browser: subprocess.Popen[bytes], how: signal.Signals
) -> None:
    assert sessions(server)
    os.kill(browser.pid, how)
    eventually(lambda: not sessions(server), "the session has ended", GONE_S)
    assert server.poll() is None


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda how: how.name)
def test_a_session_ends_with_the_server(
    server: subprocess.Popen[bytes], browser: subprocess.Popen[bytes], how: signal.Signals
) -> None:
    assert browser.poll() is None
    (session, *_) = sessions(server)
    server.send_signal(how)
    server.wait(GONE_S)
    eventually(lambda: not session.is_running(), "the session has ended", GONE_S)


def test_a_session_that_hangs_ends_with_its_browser(
    server: subprocess.Popen[bytes], browser: subprocess.Popen[bytes]
) -> None:
    for session in sessions(server):
        session.suspend()
    browser.kill()
    eventually(lambda: not sessions(server), "the session has ended", GONE_S)


def test_keys_work_without_a_click(server: subprocess.Popen[bytes], page: Any) -> None:
    page.goto("/")
    page.wait_for_selector(".xterm-helper-textarea:focus", state="attached")
    page.keyboard.press("q")
    eventually(lambda: not sessions(server), "the session has ended", GONE_S)
