"""`plotman plot` and `plotman archive`, in two terminals of one machine and alone."""

from __future__ import annotations

import subprocess

import psutil

from tests.support.farm import Farm
from tests.support.installed import from_wheel
from tests.support.waiting import eventually


def named(farm: Farm, word: str) -> list[psutil.Process]:
    """Processes of this farm with the word in their command line."""
    found = []
    for process in psutil.process_iter():
        try:
            if word in " ".join(process.cmdline()) and process.cwd().startswith(str(farm.state)):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_the_halves_share_one_broker_and_each_goes_on_when_the_other_ends(farm: Farm) -> None:
    farm.configure(tmp=1, dst=1, drives=1)
    farm.allow(1)
    start = from_wheel("plotman")
    plotting, archiving = farm.spawn(*start, "plot"), farm.spawn(*start, "archive")
    eventually(lambda: len(farm.archived()) == 1, "a plot is made and archived", 90)
    assert len(named(farm, "127.0.0.1:")) == 1
    assert len(named(farm, "plotman.serve beat")) == 1
    assert len(named(farm, "plotter@")) == 1
    for verb in ("plot", "archive", "up"):
        refused = farm.run(verb)
        assert refused.returncode == 1
        assert "already runs for" in refused.stderr

    _end(plotting)
    # The plotter worker is archive's now, and is asked like any other; it still starts no plot.
    eventually(
        lambda: farm.run("unpause", "plotting").returncode == 0, "archive has taken over", 60, every_s=1
    )
    assert "`plotman plot`" in eventually(lambda: _reason(farm), "it says why it starts none", 30)
    assert "but no plots start: `plotman archive` starts none" in farm.run("unpause", "plotting").stdout
    assert not farm.jobs()

    plotting = farm.spawn(*start, "plot")
    eventually(lambda: len(farm.archived()) >= 2, "more plots are made and archived", 90)
    assert len(named(farm, "127.0.0.1:")) == 1
    _end(archiving)
    eventually(lambda: farm.events("plot-done")[2:], "plot goes on alone", 90)
    _end(plotting)


def _reason(farm: Farm) -> str | None:
    snapshot = farm.maybe_plotter()
    return snapshot.pause_reason if snapshot and "archive" in (snapshot.pause_reason or "") else None


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    assert process.wait(30) == 0
