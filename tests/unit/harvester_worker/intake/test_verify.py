"""The message about a plot that its prover does not find good."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from common.errors import PlotRefused, TransferFailed
from common.model.plot_name import PlotName
from common.system.plotfile import Header
from common.worker.move_step import StepInterrupted, Stop, never
from harvester_worker.intake import verify

ID = "0f" * 32
ANSWER = """echo '{"challenges": 30, "proofs": 9, "bad": 0, "unread": 0}'"""
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
        (True, 0, 0, "x.part: reading it fails at 30 of 30 challenges (Src size is incorrect)."),
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
    assert told == "30 challenges gave 30 proofs, all valid"


def named(**fields: object) -> PlotName:
    name = PlotName.parse(f"plot-k25-2026-11-22-12-00-{ID}.plot")
    assert name is not None
    return replace(name, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (Header("v1.0", plot_id="1f" * 32, k=25), "has the header of k25 1f1f"),
        (Header("v1.0", plot_id=ID, k=24), "has the header of k24 0f0f"),
    ],
)
def test_a_header_of_another_plot_is_refused(
    header: Header, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "read_header", lambda _: header)
    with pytest.raises(PlotRefused, match=message):
        verify.check_header(Path("/x"), named(), 1)
    for unknown in (Header("PoS2"), Header("PoS2", plot_id=ID), Header("PoS2", k=25)):
        monkeypatch.setattr(verify, "read_header", lambda _, known=unknown: known)
        assert verify.check_header(Path("/x"), named(), 1) == unknown


def test_a_file_that_is_shorter_than_its_header_says_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "read_header", lambda _: Header("v1.0", plot_id=ID, k=25))
    monkeypatch.setattr(verify, "expected_size_bytes", lambda _: 1000)
    with pytest.raises(PlotRefused, match="is truncated: 999 of 1000 bytes"):
        verify.check_header(Path("/x"), named(), 999)
    verify.check_header(Path("/x"), named(), 1000)
    verify.check_header(Path("/x"), named(), 1001)


class Prover:
    """A program in the place of Python with chiapos."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def prove(self, script: str, stop: Stop = never) -> str:
        self.path.write_text(f"#!/bin/sh\n{script}\n")
        self.path.chmod(0o755)
        return verify.prove(Path("/x.part"), Header("v1.0"), 30, stop, str(self.path))


@pytest.fixture
def prover(tmp_path: Path) -> Prover:
    return Prover(tmp_path / "prover")


def test_a_plot_that_chiapos_cannot_open_is_refused(prover: Prover) -> None:
    with pytest.raises(PlotRefused, match=r"chiapos cannot open x\.part: bad magic"):
        prover.prove("""echo '{"unopened": "bad magic"}'""")
    assert prover.prove("""echo '{"missing": true}'""").endswith("(chiapos is not installed)")


@pytest.mark.parametrize(
    ("script", "last"),
    [("exit 3", "exit code 3"), ("echo first >&2; echo killed by oom >&2; exit 1", "killed by oom")],
)
def test_a_prover_that_fails_is_no_verdict_on_the_plot(prover: Prover, script: str, last: str) -> None:
    with pytest.raises(TransferFailed, match=f"ended without an answer: {last}"):
        prover.prove(script)


def test_a_prover_that_takes_too_long_or_is_stopped_is_killed(
    prover: Prover, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = tmp_path / "pids"
    script = f"echo $$ >> {pids}; exec sleep 60"
    stop = threading.Event()
    stop.set()
    with pytest.raises(StepInterrupted):
        prover.prove(script, stop)
    monkeypatch.setattr(verify, "PROVE_TIMEOUT_S", 0.0)
    with pytest.raises(TransferFailed, match="Proofs took more than 0 s"):
        prover.prove(script)
    monkeypatch.setattr(verify, "PROVE_TIMEOUT_S", 60.0)
    assert "valid" in prover.prove(f"sleep 0.3; {ANSWER}"), "longer than one wait"
    for pid in pids.read_text().split():
        assert not Path(f"/proc/{pid}").exists()
