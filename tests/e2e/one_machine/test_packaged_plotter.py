"""A plotter that another installed package brings, and a package whose plotter is broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.system.plotfile import expected_size_bytes, read_header
from tests.support.farm import Farm
from tests.support.plotter_package import TINY, TINYPLOT, lay_out
from tests.support.sections import FARMER, POOL
from tests.support.waiting import eventually


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on Python's path, for packages."""
    folder = tmp_path / "site"
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


def packaged(program: Path) -> dict[str, object]:
    section = {"executable": str(program), "k": 18}
    return {"type": "tinyplot", "farmer_pk": FARMER, "pool_pk": POOL, "tinyplot": section}


@pytest.fixture
def program(tmp_path: Path, chia: Path) -> Path:
    path = tmp_path / "tinyplot"
    path.write_text(TINYPLOT.format(python=chia.with_name("python"), chia=chia))
    path.chmod(0o755)
    return path


@pytest.mark.plotter
def test_its_plots_are_made_followed_and_archived_as_ours_are(farm: Farm, site: Path, program: Path) -> None:
    lay_out(site, "tinyplot", TINY)
    farm.configure(tmp=1, dst=1, drives=1, plotting=packaged(program))
    farm.allow(2)
    checked = farm.run("config", "check", str(farm.config))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    farm.up()
    eventually(lambda: len(farm.archived()) == 2, "two plots on the drives", 120)
    for plot in farm.archived():
        assert plot.stat().st_size == expected_size_bytes(read_header(plot))
    done = eventually(lambda: farm.events("plot-done")[1:] and farm.events("plot-done"), "they are told")
    for event in done:
        found = eventually(lambda id=event.task_id: farm.result(id).get("result"), "the result is stored")
        assert (found["plotter"], found["k"]) == ("tinyplot", 18)
    rows = farm.run("history").stdout
    assert rows.count("tinyplot") == 2, rows


def test_a_broken_one_is_one_line_and_stops_nothing_of_ours(farm: Farm, site: Path, program: Path) -> None:
    lay_out(site, "tinyplot", "raise RuntimeError('too old')", version="0.1")
    farm.configure(tmp=1, dst=1, drives=1, plotting=packaged(program))
    wanted = (
        "plotting.type: the plotter of package tinyplot-for-plotman 0.1 does not load: RuntimeError: too old"
    )
    for verb in (("config", "check", str(farm.config)), ("up",)):
        said = farm.run(*verb)
        assert said.returncode == 3, said
        (line,) = [line for line in (said.stdout + said.stderr).splitlines() if "tinyplot" in line]
        assert wanted in line
    farm.configure(tmp=1, dst=1, drives=1)
    farm.allow(1)
    farm.up()
    eventually(lambda: len(farm.archived()) == 1, "a plot of our own is made", 120)
