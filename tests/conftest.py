"""Real programs for the tests: a broker, the chia plotter, a whole farm. Each is started by the test
that needs it, in folders and on ports of its own, and only what was started is stopped."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.store import Board
from plotman.supervisor import broker
from plotter_worker.processes.launch import STATE_VARIABLE
from tests.support.farm import Farm
from tests.support.lacking import lacking
from tests.support.sections import by_hand
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    chaos = parser.getgroup("plotman: the chaos run of tests/e2e/farm")
    chaos.addoption("--chaos-minutes", type=float, default=3.0, help="how long faults strike (3)")
    chaos.addoption("--chaos-seed", type=int, default=None, help="strike as in an earlier run; printed there")


def pytest_configure(config: pytest.Config) -> None:
    # A shell starts what it runs in the background without Ctrl-C, and so would be all that is started here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(config.option, "loadscopereorder"):  # xdist is there
        config.option.loadscopereorder = False


# What takes longest first: last, it would leave a core without work at the end. Files of most tests, with
# which xdist begins, are the quick ones.
_FIRST = ("tests/e2e/", "tests/integration/plotman/", "tests/integration/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    tests_in = Counter(item.path for item in items)

    def turn(item: pytest.Item) -> tuple[int, int]:
        found = (number for number, room in enumerate(_FIRST) if item.nodeid.startswith(room))
        return next(found, len(_FIRST)), -tests_in[item.path]

    items.sort(key=turn)


@pytest.fixture(scope="session", autouse=True)
def _outside_of_the_checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Start processes in a folder of the tests: `python -m` imports from the current folder first."""
    os.environ.pop("PYTHONPATH", None)
    former = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("outside"))
    yield
    os.chdir(former)


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that is filled once for all of xdist's workers; the others wait for it."""
    common = factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        common = common.parent
    folder = common / name
    with (common / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (common / f"{name}.made").exists():
            folder.mkdir(exist_ok=True)
            make(folder)
            (common / f"{name}.made").touch()
    return folder


@pytest.fixture(scope="session")
def chia() -> Path:
    """The official chia plotter."""
    path = Path(os.environ.get("PLOTMAN_CHIA", ROOT / ".venv-chia" / "bin" / "chia"))
    if not path.exists():
        lacking(f"{path} is missing")
    return path


@pytest.fixture(scope="session")
def chia_root(chia: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings of chia that allow plots as small as k18."""

    def init(root: Path) -> None:
        env = os.environ | {"CHIA_ROOT": str(root)}
        subprocess.run([chia, "init"], env=env, check=True, capture_output=True)
        settings = root / "config" / "config.yaml"
        text = settings.read_text(encoding="utf-8")
        settings.write_text(
            text.replace("min_mainnet_k_size: 32", "min_mainnet_k_size: 18"), encoding="utf-8"
        )

    return made_once(tmp_path_factory, "chiaroot", init)


@pytest.fixture(scope="session")
def real_plot(chia: Path, chia_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A k18 plot, made once; do not change it. Farms of tests that run meanwhile leave its plotter alone."""

    def plot(folder: Path) -> None:
        env = os.environ | {"CHIA_ROOT": str(chia_root), STATE_VARIABLE: str(folder)}
        subprocess.run(by_hand(chia, folder, folder), env=env, check=True, capture_output=True)

    (made,) = made_once(tmp_path_factory, "k18", plot).glob("*.plot")
    return made


@pytest.fixture
def farm(tmp_path: Path, chia: Path, chia_root: Path) -> Iterator[Farm]:
    """A farm that is not configured and not started yet."""
    made = Farm(tmp_path, chia, chia_root)
    yield made
    made.stop()


@pytest.fixture
def broker_url(tmp_path: Path) -> Iterator[str]:
    """A Redis of the test's own."""
    state = tmp_path / "redis"
    url = broker.settle(state, lambda _: None).url
    with (tmp_path / "redis.log").open("wb") as output:
        process = subprocess.Popen(broker.argv(state), stdout=output, stderr=subprocess.STDOUT)
    eventually(lambda: broker.answers(url), "the broker answers")
    yield url
    process.terminate()
    process.wait(timeout=10)


@pytest.fixture
def board(broker_url: str) -> Board:
    return Board.connect(broker_url)
