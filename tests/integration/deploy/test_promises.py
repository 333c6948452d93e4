"""The table of promises names tests for each promise: they exist."""

from __future__ import annotations

import re

from tests.support.paths import ROOT


def rows() -> list[tuple[str, str]]:
    """(promise, what shows it)"""
    text = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
    table = text.split("| promise | shown by |", 1)[1].split("\n\n", 1)[0]
    return [
        (row[0].strip(), row[1]) for line in table.splitlines()[2:] if (row := line.strip("|").split("|", 1))
    ]


def test_each_promise_names_tests_that_exist() -> None:
    named = {promise: re.findall(r"`((?:tests/|test_)[\w./]+)`", proof) for promise, proof in rows()}
    assert len(named) >= 7
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")}
    tests = {name for file in files for name in re.findall(r"(?m)^def (test_\w+)", (ROOT / file).read_text())}
    for promise, proofs in named.items():
        assert proofs, f"nothing shows: {promise}"
        for proof in proofs:
            there = (
                proof in tests
                if not proof.endswith((".py", "/"))
                else any(f"/{file}".endswith(f"/{proof}") or file.startswith(proof) for file in files)
            )
            assert there, f"{promise}: no {proof}"
