"""`plotman interactive` on a real terminal, and in a browser's stead, over a farm with a real plot."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Iterator

import aiohttp
import pytest

from tests.support.farm import Farm, plotters_of
from tests.support.installed import from_wheel
from tests.support.ports import free_port
from tests.support.terminal import Terminal
from tests.support.terminal import terminal as running_in_a_terminal
from tests.support.waiting import eventually

ACCOUNT = "farmer:password"


@pytest.fixture
def plotting(farm: Farm) -> Iterator[Farm]:
    """A farm with one running plot that takes minutes, and no other to come."""
    slow = {"k": 25, "n_threads": 1, "n_buckets": 64, "job_buffer": 200}
    farm.configure(
        tmp=1,
        plotting={"chiapos": {"executable": str(farm.chia), **slow}},
        farm={"flower_auth": ACCOUNT},
        scheduling={"global_max_jobs": 1},
    )
    farm.up()
    eventually(lambda: any(job.plot_id and any_files(farm) for job in farm.jobs()), "a plot is made", 60)
    yield farm


@pytest.fixture
def terminal(plotting: Farm) -> Iterator[Terminal]:
    with running_in_a_terminal(from_wheel("plotman", "interactive"), plotting.environment) as made:
        yield made


def any_files(farm: Farm) -> list[object]:
    return list((farm.folder / "tmp").glob("*/plot-*"))


def test_a_plot_is_watched_paused_and_killed_by_keys_and_seen_in_a_browser(
    plotting: Farm, terminal: Terminal
) -> None:
    (job,) = plotting.jobs()
    assert job.plot_id is not None
    terminal.shows(job.plot_id[:8])

    terminal.type("1s")
    eventually(lambda: plotting.jobs()[0].status.value == "STP", "the plot is suspended")
    terminal.shows("suspended")
    terminal.type("r")
    eventually(lambda: plotting.jobs()[0].status.value != "STP", "the plot goes on")

    terminal.type("2d")
    tmp = eventually(lambda: plotting.plotter().tmp_dirs[0].drained, "the tmp directory is drained")
    assert tmp.reason == "in the dashboard"
    terminal.shows("takes no more plots in")
    terminal.type("d")
    eventually(lambda: plotting.plotter().tmp_dirs[0].drained is None, "it takes plots again")
    terminal.type("1")

    terminal.type("p")  # of one machine it asks nothing
    eventually(lambda: not plotting.plotter().plotting, "plotting is paused")
    terminal.shows("paused: in the dashboard")

    terminal.type("\r")
    terminal.shows("Computing table")  # its log

    asyncio.run(in_a_browser(plotting, job.plot_id))

    terminal.type("x")
    terminal.shows("are deleted")
    terminal.type("y")
    terminal.shows("really?")
    assert plotting.jobs()
    terminal.type("y")
    eventually(lambda: not plotting.jobs(), "the plot is gone")
    eventually(lambda: not any_files(plotting), "its files are gone")
    assert not list(plotters_of(plotting.state))
    terminal.shows("freed")

    terminal.type("q")  # from the details
    assert terminal.process.wait(10) == 0
    assert plotting.alive()


async def in_a_browser(farm: Farm, plot_id: str) -> None:
    """What a browser does: the page, then the socket; neither without the password."""
    port = free_port()
    process = farm.spawn(*from_wheel("plotman", "interactive", "--web", f"0.0.0.0:{port}"))
    url = f"http://127.0.0.1:{port}"
    user, _, password = ACCOUNT.partition(":")
    async with aiohttp.ClientSession() as nobody:
        await until_it_listens(nobody, url)
        for path in ("/", "/ws", "/static/js/textual.js"):
            async with nobody.get(url + path) as answer:
                assert answer.status == 401
    async with aiohttp.ClientSession(headers={"Authorization": basic(user, password)}) as farmer:
        async with farmer.get(url) as answer:
            assert answer.status == 200
            assert f"ws://127.0.0.1:{port}/ws" in await answer.text()
        async with farmer.get(f"{url}/ws", headers={"Origin": "http://evil.example"}) as answer:
            assert answer.status == 403
        async with farmer.ws_connect(f"{url}/ws?width=120&height=40") as socket:
            await asyncio.wait_for(shows(socket, plot_id[:8].encode()), 30)
    process.terminate()


def basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


async def until_it_listens(session: aiohttp.ClientSession, url: str) -> None:
    for _ in range(300):
        try:
            async with session.get(url):
                return
        except aiohttp.ClientConnectionError:
            await asyncio.sleep(0.1)
    raise AssertionError(f"nobody listens at {url}")


async def shows(socket: aiohttp.ClientWebSocketResponse, text: bytes) -> None:
    drawn = b""
    async for message in socket:
        drawn += message.data if isinstance(message.data, bytes) else b""
        if text in drawn:
            return
    raise AssertionError(f"it closed before it showed {text!r}")
