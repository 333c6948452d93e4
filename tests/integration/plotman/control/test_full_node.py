"""chia's full node is asked by its own RPC: the real one, and a stand-in that has blocks.

The real one has none without a network. So a stand-in with the certificates that `chia init` made answers in
the form of chia 2.7.5's full_node_rpc_api.py.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from common.system.chia_service import FULL_NODE, ChiaSilent, reach
from plotman.control.queries.replot import node
from plotman.control.queries.replot.node import NodeState, ask_node
from tests.support.chia_services import Answers, StandIn, change, read_config, trickle
from tests.support.ports import free_port
from tests.support.waiting import eventually

pytestmark = pytest.mark.plotter


@pytest.fixture
def root(chia_root: Path, tmp_path: Path) -> Path:
    """chia's settings, with ports of the test's own and without other nodes."""
    made = tmp_path / "chia"
    shutil.copytree(chia_root, made)
    alone = {"dns_servers": [], "introducer_peer": None, "enable_upnp": False}
    change(made, "full_node", rpc_port=free_port(), port=free_port(), **alone)
    return made


@pytest.mark.parametrize("fork_height", [None, 11_000_000])
def test_the_real_node_answers(root: Path, tmp_path: Path, chia: Path, fork_height: int | None) -> None:
    overrides = read_config(root)["network_overrides"]["constants"]
    if fork_height is not None:
        overrides["mainnet"]["HARD_FORK2_HEIGHT"] = fork_height
        change(root, "network_overrides", constants=overrides)
    with (tmp_path / "chia.log").open("wb") as log:
        process = subprocess.Popen(
            [chia.parent / "chia_full_node"],
            env=os.environ | {"CHIA_ROOT": str(root)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:

        def state() -> NodeState | None:
            try:
                return ask_node(str(root))
            except ChiaSilent:
                return None

        assert eventually(state, "chia's full node answers", 90) == NodeState(None, False, fork_height)
        reach(str(root), FULL_NODE, 10)
    finally:
        process.terminate()
        process.wait(timeout=60)


def with_state(peak: Any = {"height": 9_700_000, "weight": 10**12}, synced: Any = True) -> Answers:  # noqa: B006
    state = {"peak": peak, "sync": {"sync_mode": False, "synced": synced}, "space": 2**64, "node_id": "ab"}
    return {"/get_blockchain_state": {"blockchain_state": state, "success": True}}


def with_fork(height: Any) -> Answers:
    constants = {"HARD_FORK_HEIGHT": 5_496_000, "HARD_FORK2_HEIGHT": height, "GENESIS_CHALLENGE": "0xcc"}
    return {"/get_constants": {"constants": constants, "success": True}}


@pytest.fixture
def serving(root: Path) -> Iterator[Callable[[Answers], StandIn]]:
    made: list[StandIn] = []

    def serve(answers: Answers) -> StandIn:
        made.append(StandIn(root, "full_node", answers))
        return made[-1]

    yield serve
    for one in made:
        one.stop()


Serving = Callable[[Answers], StandIn]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (with_state() | with_fork(11_000_000), NodeState(9_700_000, True, 11_000_000)),
        (with_state(synced=False) | with_fork(11_000_000), NodeState(9_700_000, False, 11_000_000)),
        (with_state(peak=None, synced=False) | with_fork(11_000_000), NodeState(None, False, 11_000_000)),
        (with_state() | with_fork(0xFFFF_FFFA), NodeState(9_700_000, True, None)),
        (with_state() | with_fork(0xFFFF_FFFF), NodeState(9_700_000, True, None)),
        (with_state() | {"/get_constants": {"constants": {}, "success": True}},
         NodeState(9_700_000, True, None)),
        (with_state(), NodeState(9_700_000, True, None)),
    ],
    ids=["synced", "not synced", "no block", "no fork", "no fork in tests", "other constants", "chia 2.7.1"],
)  # fmt: skip
def test_its_heights(root: Path, serving: Serving, answers: Answers, expected: NodeState) -> None:
    stand_in = serving(answers)
    assert ask_node(str(root)) == expected
    assert stand_in.asked == ["/get_blockchain_state", "/get_constants"]


def test_a_node_of_another_network_names_it(root: Path, serving: Serving) -> None:
    change(root, "full_node", selected_network="testnet11")
    serving(with_state() | with_fork(5))
    assert ask_node(str(root)) == NodeState(9_700_000, True, 5, "testnet11")


STATE, CONSTANTS = "/get_blockchain_state", "/get_constants"


@pytest.mark.parametrize(
    "answers",
    [
        *(with_state(peak={"height": height}) for height in (-1, 100_000_001, 1.5, 1e400, "9", True, None)),
        *(with_state(peak=peak) for peak in ([], {}, 5)),
        *(with_state(synced=synced) for synced in (1, "true", None)),
        *(with_state() | with_fork(height) for height in (-1, 2**32, 1.0, float("nan"), "0x5", True)),
        with_state() | {CONSTANTS: {"constants": [], "success": True}},
        with_state() | {CONSTANTS: {"success": False, "error": "x"}},
        {STATE: []},
        {STATE: b"no JSON"},
        {STATE: b"\xff\xfe"},
        {STATE: b'{"success": true, "blockchain_state": NaN}'},
        {STATE: b'{"success": true, "x": ' + b"9" * 5_000 + b"}"},
        {STATE: b"[" * 100_000},
        {STATE: b" " * ((1 << 20) + 1)},
        {},
    ],
)  # fmt: skip
def test_an_answer_of_another_form_is_no_answer(root: Path, serving: Serving, answers: Answers) -> None:
    serving(answers)
    with pytest.raises(ChiaSilent, match=r"chia's full node does not answer at localhost:\d+: .*chia start"):
        ask_node(str(root))


def test_an_endless_answer_is_not_read(root: Path, serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "_MOST_BYTES", 100)
    serving(with_state() | with_fork(5))
    with pytest.raises(ChiaSilent, match="get_blockchain_state is answered with 200 and 101 bytes"):
        ask_node(str(root))


def test_an_answer_that_trickles_is_not_waited_for(root: Path, serving: Serving) -> None:
    serving({STATE: trickle(with_state()[STATE], pause_s=0.1)})
    began_s = time.monotonic()
    with pytest.raises(ChiaSilent, match=r"did not answer within 1 s.*replot\.chia_root"):
        ask_node(str(root), patience_s=1)
    assert time.monotonic() - began_s < 5


def test_a_port_that_never_answers_is_not_waited_for(root: Path) -> None:
    with socket.create_server(("127.0.0.1", read_config(root)["full_node"]["rpc_port"])):
        began_s = time.monotonic()
        with pytest.raises(ChiaSilent, match="answer"):
            ask_node(str(root), patience_s=1)
    assert time.monotonic() - began_s < 5


def test_settings_in_a_pipe_are_not_waited_for(root: Path) -> None:
    path = root / "config" / "config.yaml"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ChiaSilent, match="within 1 s"):
        ask_node(str(root), patience_s=1)


def test_a_node_that_does_not_run_costs_a_line_with_its_cure(root: Path) -> None:
    with pytest.raises(ChiaSilent, match=r"Connection refused.*`chia start node`.*replot\.chia_root"):
        ask_node(str(root))


def test_certificates_that_cannot_be_read_are_named(root: Path) -> None:
    (root / "config/ssl/daemon/private_daemon.key").unlink()
    with pytest.raises(ChiaSilent, match=r"certificates below .* No such file.*remove replot\.chia_root"):
        ask_node(str(root))


def test_a_program_with_other_certificates_is_not_believed(
    root: Path, tmp_path: Path, serving: Serving, chia: Path
) -> None:
    serving(with_state() | with_fork(5))
    other = tmp_path / "other"
    subprocess.run(
        [chia, "init"], env=os.environ | {"CHIA_ROOT": str(other)}, capture_output=True, check=True
    )
    shutil.copy(other / "config/ssl/ca/private_ca.crt", root / "config/ssl/ca/private_ca.crt")
    with pytest.raises(ChiaSilent, match="does not answer"):
        ask_node(str(root))
