"""No text for users counts one thing in the plural: `1 plots`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("plotman", "beat", "plotter_worker", "harvester_worker", "common")
# After a count; a noun in the plural there is right for every number but one.
NOUNS = {"plots", "jobs", "drives", "files", "directories", "transfers", "plotters", "errors", "hours"}
ADJECTIVES = {"more", "finished", "unfinished"}
# Where the number is never one, or what stands before the noun is no number.
NEVER_ONE = {
    ("harvester_worker/operator.py", "plots"),
    ("plotman/control/actions/resend.py", "plots"),
    ("plotman/control/actions/plots.py", "plots"),
    ("plotman/control/selectors.py", "plots"),
    ("plotman/control/queries/inventory.py", "files"),  # of a drive that has many
    ("plotman/cli/plots.py", "plots"),
    ("plotter_worker/tasks/control.py", "plots"),
    ("common/config/check/programs.py", "plots"),  # "k25 plots"
    ("beat/policy/starts/host_rules.py", "plotters"),  # "1 of 3 plotters": the limit is above one there
}


def counts(path: Path) -> Iterator[str]:
    """Words that follow a value in an f-string, without adjectives."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            for value, after in zip(node.values, node.values[1:], strict=False):
                if isinstance(value, ast.FormattedValue) and isinstance(after, ast.Constant):
                    words = [word.strip(",.;:)") for word in str(after.value).split()]
                    if str(after.value).startswith(" ") and words:
                        yield words[1] if words[0] in ADJECTIVES and words[1:] else words[0]


def test_a_count_is_followed_by_a_noun_in_its_number() -> None:
    found = {
        (str(path.relative_to(ROOT)), word)
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        for word in counts(path)
        if word in NOUNS
    }
    assert found - NEVER_ONE == set()
