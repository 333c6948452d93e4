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
ANSWER = """echo '{"challenges": 30, "found": 9, "proofs": 9, "bad": 0, "unread": 0}'"""
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


CHIA_RS = """
import itertools, sys
from types import SimpleNamespace
number = itertools.count()
PlotQualityChain = None
def quality(member):
    return SimpleNamespace(chain=SimpleNamespace(get_string=lambda strength: b"quality"), plot_index=member)
class PanicException(BaseException): pass
class Prover:
    def __init__(self, path): pass
    def plot_group_id(self): return b"id"
    def size(self): return {k}
    def get_strength(self): return 2
    def get_meta_group(self): return 0
    def plot_id_for_index(self, member): return b"%d" % member
    def get_qualities_for_challenge(self, challenge):
        if {unread} and next(number) % 3 == 0: raise OSError("qualities_for_challenge() failed")
        return [quality(member) for member in {members} for _ in range({each})]
def solve_proof(chain, plot_id, strength, k):
    return {solve}
def validate_proof_v2(group_id, member, k, strength, meta, challenge, proof):
    return {validate}
"""


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for libraries of the prover's."""
    folder = tmp_path / "lib"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


def chia_rs(library: Path, **fields: object) -> None:
    """Let the prover have a chia_rs that answers like this."""
    given = {
        "k": 18,
        "unread": False,
        "members": [0],
        "each": 1,
        "solve": 'b"proof"',
        "validate": 'b"quality"',
    }
    package = library / "chia_rs"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").write_text(CHIA_RS.format(**given | fields))
    (package / "sized_bytes.py").write_text("bytes32 = bytes")


def prove(header: str, challenges: int = 30) -> str:
    return verify.prove(Path("/x.part"), Header(header), challenges, never, sys.executable)


@pytest.mark.parametrize(
    ("unread", "proofs", "bad", "told"),
    [
        (True, 0, 0, "x.part: reading it fails at 30 of 30 challenges (Src size is incorrect)."),
        (False, 1, 3, "x.part: 3 of 30 proofs fail."),
        (False, 0, 0, "x.part: no proof in 130 challenges."),
    ],
)
def test_the_figures_fit_each_other(library: Path, unread: bool, proofs: int, bad: int, told: str) -> None:
    (library / "chiapos.py").write_text(CHIAPOS.format(unread=unread, proofs=proofs, bad=bad))
    with pytest.raises(PlotRefused) as refused:
        prove("v1.0")
    assert refused.value.what.startswith(told)


def test_a_good_plot_is_told_by_its_figures(library: Path) -> None:
    (library / "chiapos.py").write_text(CHIAPOS.format(unread=False, proofs=1, bad=0))
    assert prove("v1.0") == "30 challenges gave 30 proofs, all valid"


@pytest.mark.parametrize(
    ("fields", "challenges", "told"),
    [
        ({}, 30, "30 challenges gave 30 qualities; 8 proofs, all valid"),
        ({}, 5, "5 challenges gave 5 proofs, all valid"),
        ({"members": range(32)}, 30, "30 challenges gave 960 qualities; 8 proofs of 8 members, all valid"),
        ({"members": [2, 5]}, 30, "30 challenges gave 60 qualities; 8 proofs of 2 members, all valid"),
        (
            {"members": [2, 5, 6], "each": 9},
            1,
            "1 challenge gave 27 qualities; 8 proofs of 3 members, all valid",
        ),
    ],
)
def test_a_few_proofs_of_a_group_are_made_of_as_many_members_as_there_are(
    library: Path, fields: dict[str, object], challenges: int, told: str
) -> None:
    chia_rs(library, **fields)
    assert prove("PoS2 02", challenges) == told


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"solve": 'b""'}, "8 of 8 proofs fail"),
        ({"validate": "None"}, "8 of 8 proofs fail"),
        ({"validate": 'b"other"'}, "8 of 8 proofs fail"),
        ({"validate": 'b"other" if next(number) == 5 else b"quality"'}, "1 of 8 proofs fail"),
        ({"members": []}, "no proof in 130 challenges"),
        (
            {"unread": True},
            r"reading it fails at 10 of 30 challenges \(qualities_for_challenge\(\) failed\)",
        ),
    ],
)
def test_a_group_is_refused_for_what_it_cannot_prove(
    library: Path, fields: dict[str, object], told: str
) -> None:
    chia_rs(library, **fields)
    with pytest.raises(PlotRefused, match=rf"x\.part: {told}"):
        prove("PoS2 02")


PANIC = '(_ for _ in ()).throw(PanicException("index out of bounds"))'
OTHER_API = "solve_proof(chain, plot_id, strength, k, 1)"


def test_a_panic_is_no_verdict_unless_damage_was_seen_before(library: Path) -> None:
    chia_rs(library, solve=PANIC)
    with pytest.raises(TransferFailed, match=r"without an answer: .*PanicException: index out of bounds"):
        prove("PoS2 02")
    chia_rs(library, solve=PANIC, unread=True)
    with pytest.raises(PlotRefused, match="reading it fails at 10 of 30"):
        prove("PoS2 02")


def test_a_lack_of_memory_is_no_verdict(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """chia_rs returns an empty proof then, as for a plot that is damaged."""
    chia_rs(library, solve='b""')
    monkeypatch.setitem(verify.PROVER_MEMORY_BYTES, "chia_rs", 200_000_000)
    with pytest.raises(TransferFailed, match="without an answer: MemoryError"):
        prove("PoS2 02")


def test_a_library_of_another_version_is_as_good_as_none_unless_damage_was_seen_before(library: Path) -> None:
    without = "header and whole size (chia_rs >= 0.53 is not installed)"
    (library / "chia_rs.py").write_text("def create_v2_plot(): pass")
    assert prove("PoS2 02") == without
    (library / "chia_rs.py").unlink()
    chia_rs(library, solve=OTHER_API)
    assert prove("PoS2 02") == without
    chia_rs(library, solve=OTHER_API, unread=True)
    with pytest.raises(PlotRefused, match="reading it fails at 10 of 30"):
        prove("PoS2 02")


def test_where_nothing_is_to_be_proved_the_verdict_says_what_was_checked(library: Path) -> None:
    assert prove("v1.0", 0) == "header and size"
    assert prove("PoS2 02", 0) == "header and whole size"
    assert prove("pos2 01") == "header and size (no proofs for format pos2 01)"


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
    assert prover.prove("""echo '{"missing": "why"}'""").endswith("(chiapos is not installed)")


@pytest.mark.parametrize(
    ("script", "last"),
    [
        ("exit 3", "exit code 3"),
        ("echo first >&2; echo killed by oom >&2; exit 1", "killed by oom"),
        ("echo rubbish", "exit code 0"),
        (f"{ANSWER}; exit 1", "exit code 1"),
    ],
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
