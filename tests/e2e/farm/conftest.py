"""A farm of several machines for a whole file of tests; one fault after the other befalls it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.lab import Lab
from tests.support.lacking import lacking
from tests.support.machines import Machines
from tests.support.namespaces import missing
from tests.support.watch import Watch


@pytest.fixture(scope="session")
def _lab_possible() -> None:
    """A lab needs root. Where there is root and CI is set, whatever else is missing fails."""
    if (why := missing()) is None:
        return
    reason, curable = why
    if curable:
        lacking(reason)
    pytest.skip(reason)


@pytest.fixture
def lab(_lab_possible: None, tmp_path: Path) -> Iterator[Lab]:
    """A network without hosts."""
    made = Lab(tmp_path)
    yield made
    made.close()


Build = Callable[[Machines], None]


@pytest.fixture(scope="module")
def machines(
    request: pytest.FixtureRequest,
    _lab_possible: None,
    tmp_path_factory: pytest.TempPathFactory,
    chia: Path,
    chia_root: Path,
) -> Iterator[Machines]:
    """The farm of a test file, up; its function `build` says which machines there are."""
    made = Machines(tmp_path_factory.mktemp("lab"), chia, chia_root)
    try:
        made.start_broker()
        request.module.build(made)
        made.up()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def _watching(machines: Machines) -> Iterator[Watch]:
    with Watch(machines) as watch:
        yield watch


@pytest.fixture
def watch(_watching: Watch) -> Iterator[Watch]:
    """Every test ends with all promises kept."""
    yield _watching
    broken, _watching.broken = _watching.broken, []
    assert not broken, "\n".join(broken)
