"""Which heights the plan uses: as given, of the node, or known; and what it says of the node."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.system.chia_service import ChiaSilent
from plotman.control.queries.replot import node
from plotman.control.queries.replot.document import as_dict
from plotman.control.queries.replot.node import NodeState, choose
from plotman.control.queries.replot.plan import PlanAnswer, PlanLimits
from plotman.control.queries.replot.sentences import remarks, sentences
from plotman.control.queries.replot.tables import classes_table
from plotman.control.rpc import TaskCall
from tests.support.replotted import asked

SYNCED = NodeState(9_700_000, True, 11_000_000)
BEHIND = NodeState(4_000_000, False, 11_000_000)
EMPTY = NodeState(None, True, 11_000_000)
NO_FORK = NodeState(9_700_000, True, None)
SILENT = ChiaSilent("chia's full node does not answer at localhost:8555: refused.", "Check that it runs.")


@pytest.mark.parametrize(
    ("height", "answer", "expected"),
    [
        (None, None, (None, "known")),
        (5, None, (5, "option")),
        (None, SYNCED, (9_700_000, "node")),
        (5, SYNCED, (5, "option")),
        (5, SILENT, (5, "option")),
        (None, SILENT, (None, "known")),
        (None, BEHIND, (None, "known")),
        (None, EMPTY, (None, "known")),
    ],
)
def test_the_height_is_as_given_else_of_a_synced_node_else_known(
    height: int | None, answer: NodeState | ChiaSilent | None, expected: tuple[int | None, str]
) -> None:
    found = choose(height, None, answer)
    assert (found.height, found.height_source) == expected


@pytest.mark.parametrize(
    ("setting", "answer", "expected"),
    [
        (None, None, (None, None)),
        (7, None, (7, "setting")),
        (7, SYNCED, (7, "setting")),
        (7, SILENT, (7, "setting")),
        (None, SYNCED, (11_000_000, "node")),
        (None, BEHIND, (11_000_000, "node")),
        (None, NodeState(1, True, 0), (0, "node")),
        (None, NO_FORK, (None, None)),
        (None, SILENT, (None, None)),
    ],
)
def test_the_fork_is_of_the_setting_else_of_the_node(
    setting: int | None, answer: NodeState | ChiaSilent | None, expected: tuple[int | None, str | None]
) -> None:
    found = choose(None, setting, answer)
    assert (found.fork_height, found.fork_source) == expected


@pytest.mark.parametrize(
    ("height", "setting", "answer", "words"),
    [
        (None, None, None, []),
        (None, 11_000_000, SYNCED, []),
        (None, 12_000_000, NO_FORK, []),
        (
            None,
            12_000_000,
            SYNCED,
            ["replot.fork_height is 12,000,000, and chia's full node names 11,000,000"],
        ),
        (None, None, BEHIND, ["is not synced, so its height is not used: wait"]),
        (None, None, EMPTY, ["is not synced, so its height is not used"]),
        (5, None, BEHIND, []),
        (None, None, NodeState(9, True, 5, "testnet11"), ["is of the network testnet11"]),
        (5, 7, SILENT, ["localhost:8555: refused. Check that it runs."]),
    ],
)
def test_what_an_operator_should_know_of_the_node_is_one_line_each(
    height: int | None, setting: int | None, answer: NodeState | ChiaSilent | None, words: list[str]
) -> None:
    said = list(choose(height, setting, answer).remarks)
    assert [part in line for part, line in zip(words, said, strict=True)] == [True] * len(words)


def planned(
    monkeypatch: pytest.MonkeyPatch, answer: NodeState | ChiaSilent, height: int | None = None, **more: int
) -> PlanAnswer:
    def ask_node(root: str) -> NodeState:
        assert root == "/chia"
        if isinstance(answer, ChiaSilent):
            raise answer
        return answer

    monkeypatch.setattr(node, "ask_node", ask_node)
    return asked(PlanLimits(height=height), chia_root="/chia", **more)


def test_without_the_key_nothing_is_asked(calls: list[TaskCall], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "ask_node", lambda _: pytest.fail("it was asked"))
    answer = asked(fork_height=9_700_000)
    assert (
        "The fork is at height 9,700,000 (replot.fork_height). Dates are computed from height 9,562,000 (on "
        "2026-11-12) and 4608 blocks a day."
    ) in list(sentences(answer))
    assert "With replot.chia_root" in " ".join(sentences(answer))
    found = as_dict(answer)
    assert (found["node"], found["height_source"], found["fork_source"]) == (None, "known", "setting")


def test_a_node_gives_dates_to_a_plan_without_settings(
    calls: list[TaskCall], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = planned(monkeypatch, NodeState(9_700_000, True, 9_700_000 + 7 * 4608))
    assert answer.when.fork_day == pytest.approx(7)
    assert classes_table(answer).rows[0][5] == "2026-12-07"
    assert (
        "The fork is at height 9,732,256 (of chia's full node). Dates are computed from height 9,700,000 (of "
        "chia's full node) and 4608 blocks a day."
    ) in list(sentences(answer))
    assert not [line for line in remarks(answer) if "full node" in line]
    found = as_dict(answer)
    assert (found["height"], found["height_source"], found["height_at"]) == (
        9_700_000,
        "node",
        found["updated"],
    )
    assert (found["fork_height"], found["fork_source"]) == (9_732_256, "node")
    assert found["classes"][0]["due_height"] == 9_732_256
    assert found["node"] == {
        "answers": True,
        "synced": True,
        "height": 9_700_000,
        "fork_height": 9_732_256,
        "network": "mainnet",
    }


def test_a_silent_node_costs_a_line_and_never_the_plan(
    calls: list[TaskCall], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = planned(monkeypatch, SILENT, fork_height=9_700_000)
    assert answer.plan.plots == 1002
    assert answer.when.fork_day == asked(fork_height=9_700_000).when.fork_day
    assert [line for line in remarks(answer) if "full node" in line] == [str(SILENT)]
    assert as_dict(answer)["node"] == {"answers": False, "why": str(SILENT)}


def test_a_given_height_goes_before_the_nodes(calls: list[TaskCall], monkeypatch: pytest.MonkeyPatch) -> None:
    answer = planned(monkeypatch, SYNCED, height=11_000_000 - 4608, fork_height=11_000_000)
    assert answer.when.fork_day == pytest.approx(1)
    assert "from height 10,995,392 (--height)" in " ".join(sentences(answer))


def test_a_node_that_has_no_fork_is_named_where_dates_are_missing(
    calls: list[TaskCall], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = planned(monkeypatch, NO_FORK)
    assert "the height of the fork is not known: chia's full node names none." in " ".join(sentences(answer))
    assert as_dict(answer)["fork_source"] is None


def test_a_fork_at_height_0_has_dates(calls: list[TaskCall], monkeypatch: pytest.MonkeyPatch) -> None:
    answer = planned(monkeypatch, NodeState(100, True, 0))
    assert as_dict(answer)["classes"][0]["due_height"] == 0
    assert list(sentences(answer))


def test_a_folder_that_does_not_exist_is_a_silent_node(calls: list[TaskCall], tmp_path: Path) -> None:
    answer = asked(chia_root=str(tmp_path / "nowhere"), fork_height=9_700_000)
    assert answer.plan.plots == 1002
    (line,) = [line for line in remarks(answer) if "nowhere" in line]
    assert "config.yaml cannot be read: No such file or directory. Check that chia's full node runs" in line
