"""The message about a plot that its prover does not find good."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from common.errors import PlotRefused
from common.system.plotfile import Header
from common.worker.move_step import never
from harvester_worker.intake import verify

CHIAPOS = """
import itertools, sys
number = itertools.count()
class DiskProver:
    def __init__(self, path): pass
    def get_id(self): return b"id"
    def get_size(self): return 18
    def get_qualities_for_challenge(self, challenge):
        if {unread}: raise RuntimeError("Src size is incorrect")
        return [b"quality"] * {proofs}
    def get_full_proof(self, challenge, index, parallel): return b"proof"
class Verifier:
    def validate_proof(self, *_): return b"other" if next(number) < {bad} else b"quality"
"""


@pytest.mark.parametrize(
    ("unread", "proofs", "bad", "told"),
    [
        (True, 0, 0, "x.part: 30 of 30 challenges end in an error (Src size is incorrect)."),
        (False, 1, 3, "x.part: 3 of 30 proofs fail."),
        (False, 0, 0, "x.part: no proof in 130 challenges."),
    ],
)
def test_the_figures_fit_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unread: bool, proofs: int, bad: int, told: str
) -> None:
    (tmp_path / "chiapos.py").write_text(CHIAPOS.format(unread=unread, proofs=proofs, bad=bad))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(PlotRefused) as refused:
        verify.prove(tmp_path / "x.part", Header("v1.0"), 30, never, sys.executable)
    assert refused.value.what.startswith(told)


def test_a_good_plot_is_told_by_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "chiapos.py").write_text(CHIAPOS.format(unread=False, proofs=1, bad=0))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    told = verify.prove(tmp_path / "x.part", Header("v1.0"), 30, never, sys.executable)
    assert told == "30 challenges, 30 proofs, all valid"
