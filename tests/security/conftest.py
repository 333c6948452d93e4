"""A real server with the users of `plotman farm secrets`, for tests of who may do what, and for attacks.

MACHINES: p1 and p10 are plotters, h1 is a harvester, `both` is both, boss is the scheduler, eye a viewer.

- `secured`: a server for all tests of a file, once Valkey and once Redis with TLS. `secured.client("p1")` has
  the password of p1 and nothing else; `secured.admin()` is for what a test prepares and looks at.
- `attacked`: machines of a farm on a server without TLS, which is empty for each test. An attack uses
  `attacked.secured.client("p1")`. `attacked.configure("boss")` writes a plotman.yaml with the machine's own
  password; `attacked.up("boss")` then runs `plotman up`, `attacked.begin("boss", "celery", "-A", "plotman",
  "beat")` one process, `attacked.run("eye", "plotman", "status")` a verb. What was begun ends with the test.

A test of an attack says what fails without the defence, and that the hosts that were not attacked are still
decided on and shown.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.secured import Machines, Secured, redis_server


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


@pytest.fixture(scope="module")
def plain_server(tls_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A server without TLS for all attacks of a file."""
    made = Secured(tmp_path_factory.mktemp("attacked") / "secrets", tls=False)
    made.make(*MACHINES)
    made.start(tls_server)
    yield made
    made.stop()


@pytest.fixture
def attacked(plain_server: Secured, tmp_path: Path) -> Iterator[Machines]:
    """Machines to attack; see above."""
    with plain_server.admin() as admin:
        admin.flushall()
        admin.acl_log_reset()
    made = Machines(tmp_path, plain_server)
    yield made
    made.stop()
