"""What operators and developers read is written in plain words: no riddles, no personification."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.support.paths import ROOT

PACKAGES = ("plotman", "beat", "plotter_worker", "harvester_worker", "common")
FOR_DEVELOPERS = ("tests", "benchmarks")

# Each has a plainer word: reported or stated, anyone who, N or that long, the one of, anyway, continues,
# expensive, stops, running, no longer exists, a message, users or operators.
WORDS = re.compile(
    r"\b(told|said|whoever|whatever is|so many|so long|that of|those of|all the same|goes on|dear|lets? go|"
    r"in the making|(?:is|are) gone|a word|people|persons?)\b",
    re.IGNORECASE,
)

# (file, word): where the word is the right one.
ALLOWED: set[tuple[str, str]] = set()


def docstrings(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""


def comments(source: str) -> Iterator[str]:
    for line in source.splitlines():
        if (comment := re.search(r"(?:^|\s)# (.*)", line)) is not None:
            yield comment[1]


def strings(tree: ast.Module) -> Iterator[str]:
    """String literals that hold more than one word, docstrings among them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip():
            yield node.value


@pytest.mark.parametrize("package", [*PACKAGES, *FOR_DEVELOPERS])
def test_sentences_do_without_words_that_are_read_twice(package: str) -> None:
    literals = docstrings if package in FOR_DEVELOPERS else strings
    found = set()
    for path in sorted((ROOT / package).rglob("*.py")):
        if any(part.startswith(".") for part in path.relative_to(ROOT).parts):
            continue  # an environment that a benchmark has made
        source = path.read_text(encoding="utf-8")
        for sentence in [*literals(ast.parse(source)), *comments(source)]:
            found |= {(str(path.relative_to(ROOT)), word.lower()) for word in WORDS.findall(sentence)}
    assert sorted(found - ALLOWED) == []
