"""A secured server for the tests of who may do what."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.secured import Secured, redis_server


@pytest.fixture(scope="session")
def tls_server() -> str:
    """The program of a Redis that speaks TLS. Skips without, fails in CI."""
    program = redis_server()
    if program is None:
        message = "redis-server is missing: run ./deploy/test"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return program


@pytest.fixture(scope="session")
def valkey() -> str:
    """The server that `plotman up` brings along; no TLS."""
    from plotman.supervisor.broker import binary

    path: Path = binary()
    return str(path)


MACHINES = (
    *("--plotter", "p1", "--plotter", "p10", "--harvester", "h1", "--plotter", "both", "--harvester", "both"),
    *("--scheduler", "boss", "--viewer", "eye"),
)


@pytest.fixture(scope="module", params=["valkey", "tls_server"])
def secured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    program = request.getfixturevalue(request.param)
    made = Secured(tmp_path_factory.mktemp("rights") / "secrets", tls=request.param == "tls_server")
    made.make(*MACHINES)
    made.start(program)
    yield made
    made.stop()
