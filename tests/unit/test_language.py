"""What operators and developers read is written in plain words: no riddles, no personification."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.support.paths import ROOT

PACKAGES = ("plotman", "beat", "plotter_worker", "harvester_worker", "common")

# Each has a plainer word: reported or stated, anyone who, N or that long, the one of, anyway, continues,
# expensive, stops, running, no longer exists, a message, users or operators.
WORDS = re.compile(
    r"\b(told|said|whoever|whatever is|so many|so long|that of|those of|all the same|goes on|dear|lets? go|"
    r"in the making|(?:is|are) gone|a word|people|persons?)\b",
    re.IGNORECASE,
)

# (file, word): where the word is the right one.
ALLOWED: set[tuple[str, str]] = set()


def sentences(source: str) -> Iterator[str]:
    """Docstrings, comments, and the string literals that hold more than one word."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip():
            yield node.value
    for line in source.splitlines():
        if (comment := re.search(r"(?:^|\s)# (.*)", line)) is not None:
            yield comment[1]


@pytest.mark.parametrize("package", PACKAGES)
def test_sentences_do_without_words_that_are_read_twice(package: str) -> None:
    found = {
        (str(path.relative_to(ROOT)), word.lower())
        for path in sorted((ROOT / package).rglob("*.py"))
        for sentence in sentences(path.read_text(encoding="utf-8"))
        for word in WORDS.findall(sentence)
    }
    assert sorted(found - ALLOWED) == []
