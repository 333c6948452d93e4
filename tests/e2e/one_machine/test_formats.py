"""Plots of every format that a plotter may leave in dst, and what lies beside them."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
from pathlib import Path

import pytest

from common.model.plot_name import PlotName
from tests.support import formats
from tests.support.farm import Farm
from tests.support.groups import make_packed
from tests.support.proofs import farmed, prove
from tests.support.sections import by_hand
from tests.support.waiting import eventually

SECRET = secrets.token_hex(32)


def plot_of_v1(farm: Farm, folder: Path, k: int) -> Path:
    folder.mkdir()
    argv = by_hand(farm.chia, folder, folder, k)
    subprocess.run(argv, env=farm.by_hand, check=True, capture_output=True)
    (made,) = folder.glob("*.plot")
    return made


_OLD = """
import sys
from chia_rs import create_v2_plot
from chia_rs.sized_bytes import bytes32
create_v2_plot(sys.argv[1], 18, 2, bytes32.fromhex(sys.argv[2]), 0, 0, bytes(112), True)
"""


def old_plot2(farm: Farm, folder: Path) -> Path:
    """A plot of the generation before groups (pos2 01), made by the chia_rs of chia 2.7.5."""
    plot_id = secrets.token_hex(32)
    path = folder / f"plot-k18-{plot_id}.plot2"
    subprocess.run([farm.chia.with_name("python"), "-c", _OLD, path, plot_id], check=True)
    return path


def beside_the_plots(dst: Path) -> dict[Path, str]:
    """What a run of xchplot2 leaves in dst while it works; its job file has private keys."""
    group = secrets.token_hex(32)
    files = {
        dst / "xchplot2-job-4f2a.tsv": f"28\t2\t0\t0\t{SECRET}\t{dst}\tgplot-v2\n",
        dst / f"plot-k28-{group}.gplot.partial.Xq3vB9": SECRET,
        dst / f"plot-k28-{group}.gplot.partial": SECRET,
        dst / f"plot-k28-{group}.plot2.partial": SECRET,
    }
    for path, content in files.items():
        path.write_text(content)
    return files


def verified(farm: Farm) -> dict[str, str]:
    """Id of each plot on the drives -> how it was verified, by the history."""
    ran = farm.run("history", "--landings", "--json")
    assert ran.returncode == 0, ran.stderr
    return {row["plot_id"]: row["verified"] for row in json.loads(ran.stdout)["rows"]}


@pytest.mark.timeout(400)
def test_plots_of_each_format_reach_their_drive_proved_and_what_lies_beside_them_is_nobodys_business(
    farm: Farm, real_plot: Path
) -> None:
    farm.configure(tmp=1, dst=1, drives=1)
    farm.allow(0)
    dst, aside = farm.folder / "dst" / "1", farm.folder / "aside"
    aside.mkdir()
    made = {
        "v1 k18": Path(shutil.copy(real_plot, aside)),
        "v1 k20": plot_of_v1(farm, aside / "v1", 20),
        **{f"group k{k}": formats.make_group(aside, k) for k in (18, 20, 22)},
        "four": make_packed(aside, members=4),
        "old": old_plot2(farm, aside),
    }
    files = beside_the_plots(dst)
    for plot in made.values():
        plot.rename(dst / plot.name)
    farm.up()

    eventually(lambda: len(list(farm.folder.glob("drives/1/plot-*"))) == len(made), "all are archived", 120)
    eventually(lambda: set(dst.iterdir()) == set(files), "the sources are deleted, and nothing else")

    drive = farm.folder / "drives" / "1"
    for what, plot in made.items():
        if what != "old":
            assert prove(farm.chia, drive / plot.name) if "v1" in what else farmed(drive / plot.name)
    assert farmed(drive / made["four"].name) == {0, 1, 2, 3}
    eventually(lambda: len(verified(farm)) == len(made), "the history has all")
    for what, plot in made.items():
        name = PlotName.parse(plot.name)
        assert name is not None
        how = verified(farm)[name.plot_id]
        assert how in farm.run("why", plot.name).stdout
        if what == "old":
            assert how.startswith("header and size (no proofs for format pos2 01); not farmable: ")
            continue
        assert how.startswith("30 challenges gave ")
        assert how.endswith("8 proofs of 4 members, all valid" if what == "four" else ", all valid")
    assert {path: path.read_text() for path in files} == files
    _is_told_nowhere(farm, [SECRET, *(path.name for path in files)])


_VERBS = ("status", "dirs", "why", "cleanup", "status --json", "dirs --json", "why --json", "cleanup --json")


def _is_told_nowhere(farm: Farm, words: list[str]) -> None:
    """In no log, record or key of Redis, and in no answer; `cleanup` names what a killed plotter left.
    Logs, records and what Redis writes are below farm.state."""
    texts = [(str(path), path.read_bytes()) for path in farm.state.rglob("*") if path.is_file()]
    assert any(b"plot-k22" in text for where, text in texts if "appendonly" in where), (
        "Redis' own log is there"
    )
    told = [farm.run(*verb.split()) for verb in _VERBS]
    texts += [(str(ran.args), (ran.stdout + ran.stderr).encode()) for ran in told]
    for where, text in texts:
        may_be = ".partial" if "'cleanup'" in where else "\0"
        assert not [word for word in words if word.encode() in text and may_be not in word], where
