"""Each rule that stops something has a remedy."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import beat.policy
from beat.policy.remedies import REMEDIES, Harm, harm, remedy
from common.model.snapshot import PlotState, Wait

_ROLES = ("tmp", "tmp2", "dst")


def rules() -> set[str]:
    """Every name of a rule that the source of a policy can give to a Wait."""
    found: set[str] = set()
    for path in Path(next(iter(beat.policy.__path__))).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                found |= {name for value in rule_arguments(node) for name in names(value, path)}
    return found


def rule_arguments(call: ast.Call) -> Iterator[ast.expr]:
    called = call.func.id if isinstance(call.func, ast.Name) else ""
    if called == "Wait":
        yield from (keyword.value for keyword in call.keywords if keyword.arg == "rule")
    elif called == "wait":  # target.py's short way
        yield from call.args[:1]


def names(value: ast.expr, path: Path) -> list[str]:
    text = ast.unparse(value)
    if isinstance(value, ast.Constant):
        return [value.value]
    if isinstance(value, ast.IfExp):
        return [*names(value.body, path), *names(value.orelse, path)]
    if isinstance(value, ast.JoinedStr) and "{role}" in text:
        return [ast.literal_eval(text[1:]).replace("{role}", role) for role in _ROLES]
    if text == "plot.state.value":
        return [state.value for state in PlotState if state is not PlotState.READY]
    if text == "rule":  # passed on by target.py's `wait`
        return []
    pytest.fail(f"{path.name}: teach this test to read the rule's name {text}")


def test_every_rule_has_a_remedy() -> None:
    known = rules()
    assert {"stagger", "tmp room", "dst state", "drives", "target", "refused", "windows"} <= known
    assert sorted(known - REMEDIES.keys()) == []


@pytest.mark.parametrize("rule", REMEDIES)
def test_a_remedy_is_one_sentence_or_two_that_name_the_host(rule: str) -> None:
    text = remedy(rule, "plotter1", "6b4e7375")
    assert text.endswith((".", "each.", "lines."))
    assert "{" not in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("rule", "subject", "command"),
    [
        ("refused", "/dst/my plot.plot", "`plotman resend '/dst/my plot.plot' --host h1`"),
        ("its copy", "/dst/a.plot", "`plotman resend /dst/a.plot --host h1`"),
        ("suspended", "6b4e7375", "`plotman resume 6b4e7375 --host h1`"),
        ("stalled", "h1:4242", "`plotman kill h1:4242 --host h1`"),
        ("drained", "/tmp1", "`plotman undrain h1:/tmp1`"),
        ("drained", None, "`plotman undrain PLACE`"),
        ("dst drained", "/tmp1", "`plotman undrain h1:DIR`"),
        ("drained host", "/farm/1", "`plotman undrain h1`"),
    ],
)
def test_a_remedy_is_a_command_that_can_be_pasted(rule: str, subject: str | None, command: str) -> None:
    assert command in remedy(rule, "h1", subject)


def test_a_path_with_a_word_of_a_remedy_in_it_keeps_its_quotes() -> None:
    text = remedy("evacuation", "h1", "/a{plot};id;")
    assert "`plotman evacuate 'h1:/a{plot};id;' --stop`" in text


def test_a_full_drive_is_not_to_be_undrained() -> None:
    assert "undrain" not in remedy("full", "h1", "/farm/1")


@pytest.mark.parametrize(
    ("rule", "numbers", "jobs", "expected"),
    [
        ("stagger", {}, 1, Harm.NONE),
        ("max jobs", {}, 1, Harm.NONE),
        ("moves", {}, 0, Harm.NONE),
        ("tmp room", {}, 1, Harm.NONE),
        ("tmp room", {}, 0, Harm.STOPS),
        ("drives", {"needs_bytes": 100, "free_bytes": 100}, 0, Harm.NONE),
        ("drives", {"needs_bytes": 100, "free_bytes": 99}, 0, Harm.STOPS),
        ("drives", {"needs_bytes": 100}, 0, Harm.STOPS),
        ("paused", {}, 0, Harm.WANTED),
        ("dst drained", {}, 0, Harm.WANTED),
        ("truncated", {}, 0, Harm.FILE),
        ("tmp state", {}, 1, Harm.STOPS),
        ("failures", {}, 1, Harm.STOPS),
        ("a newer beat's", {}, 1, Harm.STOPS),
    ],
)
def test_a_busy_farm_is_not_in_trouble(
    rule: str, numbers: dict[str, float], jobs: int, expected: Harm
) -> None:
    assert harm(Wait(host="h1", rule=rule, reason="", numbers=numbers), jobs) is expected


def test_of_an_unknown_rule_there_is_no_remedy() -> None:
    assert remedy("a newer beat's", "h") == ""


def test_a_machine_without_archiver_may_need_the_other_half() -> None:
    assert "`plotman archive`" in remedy("archiver", "h")
