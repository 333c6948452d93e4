"""The message about a plot that its prover does not find good."""

from __future__ import annotations

import os
import struct
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from common.errors import PlotRefused, TransferFailed
from common.model.plot_name import PlotName
from common.system.plotfile import Header
from common.worker.move_step import StepInterrupted, Stop, never
from harvester_worker.intake import verify
from tests.support import formats
from tests.support.waiting import eventually

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
    def __init__(self, path): {open}
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
        "open": "pass",
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
    return verify.prove(Path("/x.part"), Header(header), challenges, never, sys.executable).text


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


RAISED = '(_ for _ in ()).throw(OSError("Input/output error"))'


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"solve": 'b""'}, "8 of 8 proofs fail"),
        ({"validate": "None"}, "8 of 8 proofs fail"),
        ({"validate": 'b"other"'}, "8 of 8 proofs fail"),
        ({"validate": 'b"other" if next(number) == 5 else b"quality"'}, "1 of 8 proofs fail"),
        ({"solve": RAISED}, r"reading it fails at 8 of 30 challenges \(Input/output error\)"),
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


def test_a_group_that_chia_rs_cannot_open_is_refused(library: Path) -> None:
    chia_rs(library, open='raise OSError("Not a plotfile")')
    with pytest.raises(PlotRefused, match=r"chia_rs cannot open x\.part: Not a plotfile"):
        prove("PoS2 02")


def test_a_machine_that_is_short_of_memory_ends_the_prover_first(library: Path) -> None:
    chia_rs(library, open="raise OSError(f\"oom {open('/proc/self/oom_score_adj').read()}\")")
    with pytest.raises(PlotRefused, match="oom 1000"):
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
    monkeypatch.setattr(verify, "memory_bytes", lambda module, k: 200_000_000)
    with pytest.raises(TransferFailed, match="without an answer: MemoryError"):
        prove("PoS2 02")


@pytest.mark.parametrize(
    ("header", "limit_bytes"),
    [
        (Header("v1.0", k=50), 2 << 30),
        (Header("PoS2 02"), 2 << 30),
        (Header("PoS2 02", k=18), 2 << 30),
        (Header("PoS2 02", k=28), 2 << 30),
        (Header("PoS2 02", k=30), 5 << 30),
        (Header("PoS2 02", k=32), 17 << 30),
    ],
)
def test_the_memory_of_a_prover_is_limited_by_what_plots_of_this_size_need(
    library: Path, header: Header, limit_bytes: int
) -> None:
    says = "raise OSError(str(__import__('resource').getrlimit(__import__('resource').RLIMIT_DATA)[0]))"
    chia_rs(library, open=says)
    (library / "chiapos.py").write_text(
        CHIAPOS.format(unread=False, proofs=0, bad=0).replace("(self, path): pass", f"(self, path): {says}")
    )
    with pytest.raises(PlotRefused, match=f"{limit_bytes}"):
        verify.prove(Path("/x.part"), header, 30, never, sys.executable)


def test_a_library_of_another_version_is_as_good_as_none(library: Path) -> None:
    without = "header and whole size (chia_rs >= 0.53 is not installed)"
    chia_rs(library, open='raise OSError("Not a plotfile")')
    old = library / "chia_rs" / "__init__.py"
    old.write_text(old.read_text().replace("PlotQualityChain = None", "def create_v2_plot(): pass"))
    assert prove("PoS2 02") == without
    chia_rs(library)
    old.write_text(old.read_text().replace("def get_meta_group", "def get_group"))
    assert prove("PoS2 02") == without
    (library / "chiapos.py").write_text(
        CHIAPOS.format(unread=False, proofs=1, bad=0).replace("def get_full_proof", "def get_proof")
    )
    assert prove("v1.0") == "header and size (chiapos is not installed)"


@pytest.mark.parametrize("error", ["TypeError", "AttributeError", "ImportError"])
@pytest.mark.parametrize("step", ["open", "solve"])
def test_an_error_while_a_plot_is_proved_does_not_pass_for_a_library_that_is_missing(
    library: Path, step: str, error: str
) -> None:
    raised = {"open": f"raise {error}('odd')", "solve": f"(_ for _ in ()).throw({error}('odd'))"}[step]
    chia_rs(library, **{step: raised})
    with pytest.raises(TransferFailed, match=f"ended without an answer: {error}: odd"):
        prove("PoS2 02")
    chia_rs(library, solve=OTHER_API, unread=True)
    with pytest.raises(PlotRefused, match="reading it fails at 10 of 30"):
        prove("PoS2 02")


def test_after_the_time_for_proofs_nothing_is_begun_but_the_first_proof(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "PROVE_S", 0.0)
    chia_rs(library, each=3)
    assert prove("PoS2 02") == "1 challenge gave 3 qualities; 1 proof, all valid"
    chia_rs(library, each="1 if next(number) == 40 else 0")
    assert prove("PoS2 02") == "41 challenges gave 1 proof, all valid"


def test_where_nothing_is_to_be_proved_the_verdict_says_what_was_checked(library: Path) -> None:
    assert prove("v1.0", 0) == "header and size"
    assert prove("PoS2 02", 0) == "header and whole size"
    assert prove("mmx-v2.4") == "header and size (no proofs for format mmx-v2.4)"


def test_a_plot_that_no_network_accepts_is_admitted_and_labelled(part: Path) -> None:
    name = f"plot-k18-{ID}.plot2"
    header = checked(part, name, formats.raw())
    assert verify.prove(part, header, 30, never).text == (
        "header and size (no proofs for format pos2 01); not farmable: it was made before pos2-chip 1.0, "
        "which changed the cipher: no network will accept its proofs"
    )
    with pytest.raises(PlotRefused, match="is not whole"):
        checked(part, name, formats.raw()[:-1])


def checked(path: Path, name: str, content: bytes, announced_bytes: int | None = None) -> Header:
    """Check a part with this content. announced_bytes: None: as many as there are."""
    path.write_bytes(content)
    plot = PlotName.parse(name)
    assert plot is not None
    return verify.check_header(path, plot, len(content) if announced_bytes is None else announced_bytes)


V1 = f"plot-k18-2026-11-22-12-00-{ID}.plot"


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / f"{ID}.part"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (formats.small_v1(plot_id=b"\x1f" * 32), "has the header of k18 1f1f"),
        (formats.small_v1(k=19), "has the header of k19 0f0f"),
        (formats.small_v1()[:-1], r"is not whole: (\d+) of (?!\1)\d+ bytes"),
        (formats.small_v1()[:200], "is not a plot: .* ends within its header"),
        (formats.small_v1() + b"x" * (1 << 20), r"is not whole: (\d+) bytes instead of (?!\1)\d+"),
        (formats.small_v1()[:60_000] + bytes(180_000) + b"d" * 616, "is not whole: "),
        (formats.raw(), "has the header of k18 0f0f"),
        (bytes(1000), "is not a plot"),
    ],
    ids=lambda value: value if isinstance(value, str) else "content",
)
def test_a_part_that_is_not_the_whole_announced_plot_is_refused(
    part: Path, content: bytes, message: str
) -> None:
    with pytest.raises(PlotRefused, match=message) as refused:
        checked(part, V1, content)
    assert "The source is kept" in refused.value.cure
    assert str(part) in refused.value.what or V1 in refused.value.what


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("pos2 02", "is a raw member"),
        ("PoS2 82", "an extension of xchplot2"),
    ],
)
def test_a_file_that_was_not_made_to_be_farmed_is_refused(part: Path, kind: str, why: str) -> None:
    plot_id = bytes.fromhex(ID)
    with pytest.raises(PlotRefused, match=f"is not farmed .format {kind}.: it.* {why}"):
        checked(part, formats.name(kind, plot_id), formats.header(kind, plot_id) + os.urandom(9000))


@pytest.mark.parametrize("difference", [-1, 1])
def test_a_part_of_another_length_than_announced_is_refused(part: Path, difference: int) -> None:
    content = formats.small_v1()
    with pytest.raises(PlotRefused, match=f"has {len(content)} bytes, {len(content) + difference} were ann"):
        checked(part, V1, content, len(content) + difference)


def test_a_whole_plot_is_admitted_and_one_of_unknown_length_as_well(part: Path) -> None:
    assert checked(part, V1, formats.small_v1()).format == "v1.0"
    assert checked(part, V1, formats.small_v1() + bytes(4095)).format == "v1.0", "padded to a block"
    assert checked(part, V1, formats.small_v1(version=b"mmx-v2.4")).format == "mmx-v2.4"
    assert checked(part, V1, b"PoS2\3" + os.urandom(5000)).format == "PoS2 03"


@pytest.mark.parametrize(("index_at", "why"), [(163, "should begin at"), (164, "is impossible for k28")])
def test_a_group_whose_index_is_the_whole_file_is_not_shown_to_chia_rs_which_would_read_it_into_memory(
    part: Path, index_at: int, why: str
) -> None:
    content = b"PoS2\2" + bytes.fromhex(ID) + struct.pack("<BBHBQB", 28, 2, 1, 0, index_at, 112) + bytes(5000)
    with pytest.raises(PlotRefused, match=f"is not whole: .*its chunk index .*{why}"):
        checked(part, f"plot-k28-{ID}.gplot", content)


def test_a_plot_group_is_admitted_only_as_it_was_made(part: Path, tmp_path: Path) -> None:
    group = formats.make_group(tmp_path)
    content = group.read_bytes()
    assert checked(part, group.name, content).group_size == 1
    with pytest.raises(PlotRefused, match=r"has the header of .* format PoS2 02"):
        checked(part, group.with_suffix(".plot2").name, content)
    for bad in (content[:-1], content + b"x", content[:42] + bytes(8) + content[50:]):
        with pytest.raises(PlotRefused, match="is not whole"):
            checked(part, group.name, bad)


class Prover:
    """A program in the place of Python with chiapos."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, script: str) -> None:
        self.path.write_text(f"#!/bin/sh\n{script}\n")
        self.path.chmod(0o755)

    def prove(self, script: str, stop: Stop = never) -> str:
        self.write(script)
        return self.run(stop)

    def run(self, stop: Stop = never) -> str:
        return verify.prove(Path("/x.part"), Header("v1.0"), 30, stop, str(self.path)).text


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


def test_one_prover_runs_at_a_time_and_a_stop_ends_the_wait(
    prover: Prover, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, turns = tmp_path / "running", tmp_path / "turns"
    script = f"mkdir {running} || exit 3; sleep 0.3; rmdir {running}; echo >> {turns}; {ANSWER}"
    prover.write(script)  # once: a program that begins cannot be written
    with ThreadPoolExecutor(3) as pool:
        verdicts = [pool.submit(prover.run) for _ in range(3)]
        assert all("valid" in each.result() for each in verdicts)
    assert len(turns.read_text()) == 3
    pid, stop = tmp_path / "pid", threading.Event()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(prover.prove, f"echo $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 60", stop)
        eventually(pid.exists, "the first one runs")
        stopped = threading.Event()
        second = pool.submit(prover.prove, "exit 3", stopped)
        stopped.set()
        with pytest.raises(StepInterrupted):
            second.result(timeout=5)
        assert not first.done()
        stop.set()
        with pytest.raises(StepInterrupted):
            first.result(timeout=5)
    assert "valid" in prover.prove(ANSWER), "after an interruption the next one begins"


def test_a_prover_that_cannot_be_ended_keeps_no_other_waiting(
    prover: Prover, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that waits for a drive that hangs: here its child keeps its output open."""
    monkeypatch.setattr(verify, "_KILLED_S", 0.2)
    monkeypatch.setattr(verify, "PROVE_TIMEOUT_S", 0.5)
    began_s = time.monotonic()
    with pytest.raises(TransferFailed, match="took more than"):
        prover.prove("sleep 20 & sleep 20")
    assert time.monotonic() - began_s < 10
    monkeypatch.setattr(verify, "PROVE_TIMEOUT_S", 60.0)
    assert "valid" in prover.prove(ANSWER)
