"""chia's harvester is asked by its own RPC: the real one, and a stand-in that shows plots.

The real harvester opens no plot before its farmer has greeted it, which needs a network. So a stand-in with
the certificates that `chia init` made answers with plots, in the form of chia 2.7.5's harvester_rpc_api.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from common.system.chia_service import ChiaSilent
from harvester_worker.farmed import chia_rpc
from harvester_worker.farmed.chia_rpc import ask
from tests.support.chia_services import Answers, StandIn, change
from tests.support.ports import free_port
from tests.support.waiting import eventually

pytestmark = pytest.mark.plotter


@pytest.fixture
def root(chia_root: Path, tmp_path: Path) -> Path:
    """chia's settings, with a port and a plot directory of the test's own."""
    made = tmp_path / "chia"
    shutil.copytree(chia_root, made)
    change(made, "harvester", rpc_port=free_port(), plot_directories=[str(tmp_path / "drive")])
    (tmp_path / "drive").mkdir()
    return made


def test_the_real_harvester_answers(root: Path, tmp_path: Path, chia: Path) -> None:
    change(root, "harvester", recursive_plot_scan=True)
    with (tmp_path / "chia.log").open("wb") as log:
        harvester = subprocess.Popen(
            [chia.parent / "chia_harvester"],
            env=os.environ | {"CHIA_ROOT": str(root)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:

        def view() -> chia_rpc.ChiaView | None:
            try:
                return ask(str(root))
            except ChiaSilent:
                return None

        seen = eventually(view, "chia's harvester answers", 90)
        assert (seen.plots, seen.failed) == (frozenset(), frozenset())
        assert list(seen.directories) == [str(tmp_path / "drive")]
        assert (seen.recursive, seen.interval_s) == (True, 120)
    finally:
        harvester.terminate()
        harvester.wait(timeout=30)


PLOT = {
    "filename": "/farm/a.plot", "size": 32, "plot_id": "0x" + "ab" * 32, "pool_public_key": None,
    "pool_contract_puzzle_hash": "0x" + "05" * 32, "plot_public_key": "0x" + "07" * 48, "file_size": 5,
    "time_modified": 1, "compression_level": 7, "plot_index": 0, "meta_group": 0,
}  # fmt: skip
GOOD: Answers = {
    "/get_plots": {
        "plots": [PLOT], "failed_to_open_filenames": ["/farm/b.plot"],
        "not_found_filenames": ["/farm/c.plot"], "success": True,
    },
    "/get_plot_directories": {"directories": ["/farm"], "success": True},
}  # fmt: skip


@pytest.fixture
def serving(root: Path) -> Iterator[Callable[[Answers], None]]:
    made: list[StandIn] = []
    yield lambda answers: made.append(StandIn(root, "harvester", answers))
    for one in made:
        one.stop()


def test_plots_and_those_that_chia_cannot_open(root: Path, serving: Callable[[Answers], None]) -> None:
    serving(GOOD)
    seen = ask(str(root))
    assert seen.plots == {"/farm/a.plot"}
    assert seen.failed == {"/farm/b.plot", "/farm/c.plot"}
    assert list(seen.directories) == ["/farm"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"success": False, "error": "x"}, "get_plots is refused"),
        ({**GOOD["/get_plots"], "plots": 5}, "the answer to get_plots has another form"),
        ({**GOOD["/get_plots"], "plots": [{"filename": 7}]}, "the answer to get_plots has another form"),
        ({"success": True}, "the answer to get_plots has another form"),
        ([], "get_plots is refused"),
        (b"no JSON", "Expecting value"),
        (b"[" * 100_000, "recursion"),
    ],
)
def test_an_answer_of_another_form_is_no_answer(
    root: Path, serving: Callable[[Answers], None], answer: Any, words: str
) -> None:
    serving({**GOOD, "/get_plots": answer})
    with pytest.raises(ChiaSilent, match=words):
        ask(str(root))


def test_an_endless_answer_is_not_read(
    root: Path, serving: Callable[[Answers], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chia_rpc, "_MOST_BYTES", 100)
    serving(GOOD)
    with pytest.raises(ChiaSilent, match="and 101 bytes"):
        ask(str(root))


def test_a_harvester_without_the_question_is_no_answer(
    root: Path, serving: Callable[[Answers], None]
) -> None:
    serving({"/get_plots": GOOD["/get_plots"]})
    with pytest.raises(ChiaSilent, match="get_plot_directories is answered with 404"):
        ask(str(root))


def test_a_chia_that_does_not_run(root: Path) -> None:
    with pytest.raises(ChiaSilent, match=r"does not answer at localhost:\d+: Connection refused.*chia start"):
        ask(str(root))


def test_another_program_with_other_certificates_is_not_believed(
    root: Path, tmp_path: Path, serving: Callable[[Answers], None], chia: Path
) -> None:
    serving(GOOD)
    other = tmp_path / "other"
    init = subprocess.run(
        [chia, "init"], env=os.environ | {"CHIA_ROOT": str(other)}, capture_output=True, check=False
    )
    assert init.returncode == 0
    shutil.copy(other / "config/ssl/ca/private_ca.crt", root / "config/ssl/ca/private_ca.crt")
    with pytest.raises(ChiaSilent, match="does not answer"):
        ask(str(root))


def test_settings_that_cannot_be_used_are_named(root: Path, tmp_path: Path) -> None:
    (root / "config/ssl/daemon/private_daemon.key").unlink()
    with pytest.raises(ChiaSilent, match=r"certificates below .* cannot be used: No such file"):
        ask(str(root))
    change(root, "harvester", rpc_port="x")
    with pytest.raises(ChiaSilent, match=r"config.yaml cannot be read: wrong or missing: harvester.rpc_port"):
        ask(str(root))
    with pytest.raises(ChiaSilent, match="No such file"):
        ask(str(tmp_path / "nowhere"))
