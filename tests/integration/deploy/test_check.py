"""deploy/check selects the unit tests of what changed, and says which of its parts failed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deploy.lib.changed_tests import changed_files, select_tests

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small checkout: one package, its unit tests, and a branch that left `main`."""
    for name, text in {
        "beat/policy/stagger.py": "",
        "beat/policy/load.py": "",
        "beat/policy/memory.py": "",
        "beat/scheduler.py": "",
        "tests/support/clock.py": "",
        "tests/unit/beat/policy/test_stagger.py": "from beat.policy import load, stagger\n",
        "tests/unit/beat/policy/test_rounds.py": "from tests.support import clock\n",
        "tests/unit/beat/builders.py": "",
    }.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    commit(tmp_path)
    git(tmp_path, "checkout", "--quiet", "-b", "topic")
    return tmp_path


def git(folder: Path, *arguments: str) -> None:
    person = ("-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(folder), *person, *arguments], check=True, timeout=30)


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "x")


@pytest.mark.parametrize(
    ("changed", "tests"),
    [
        ("beat/policy/stagger.py", ["tests/unit/beat/policy/test_stagger.py"]),
        ("beat/policy/load.py", ["tests/unit/beat/policy/test_stagger.py"]),
        ("beat/policy/memory.py", ["tests/unit/beat/policy"]),
        ("beat/policy/__init__.py", ["tests/unit/beat/policy"]),
        ("beat/scheduler.py", ["tests/unit/beat"]),
        ("tests/unit/beat/policy/test_rounds.py", ["tests/unit/beat/policy/test_rounds.py"]),
        ("tests/unit/beat/builders.py", ["tests/unit/beat"]),
        ("tests/support/clock.py", ["tests/unit/beat/policy/test_rounds.py"]),
        ("docs/cli.md", ["tests/integration/deploy/test_docs.py"]),
        ("benchmarks/deciding.py", []),
        ("deploy/test", []),
    ],
)
def test_each_file_has_its_tests(checkout: Path, changed: str, tests: list[str]) -> None:
    assert select_tests([changed], checkout) == tests


def test_a_test_is_not_named_beside_its_folder(checkout: Path) -> None:
    assert select_tests(["beat/scheduler.py", "beat/policy/stagger.py"], checkout) == ["tests/unit/beat"]


def test_commits_of_the_branch_edits_and_new_files_are_changes_and_deleted_ones_are_not(
    checkout: Path,
) -> None:
    (checkout / "beat/policy/load.py").write_text("committed = 1\n")
    commit(checkout)
    (checkout / "beat/policy/stagger.py").write_text("edited = 1\n")
    (checkout / "beat/new é.py").touch()
    (checkout / "beat/scheduler.py").unlink()
    assert changed_files(checkout) == ["beat/new é.py", "beat/policy/load.py", "beat/policy/stagger.py"]


def test_on_main_only_what_is_not_committed_is_a_change(checkout: Path) -> None:
    git(checkout, "checkout", "--quiet", "main")
    (checkout / "beat/policy/load.py").write_text("edited = 1\n")
    assert changed_files(checkout) == ["beat/policy/load.py"]


def test_an_unknown_part_is_refused_with_those_there_are() -> None:
    ran = check("stile")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "check has no part 'stile'. Parts: style imports types tests.\n"


def test_a_part_that_fails_shows_its_output_and_is_named_at_the_end(tmp_path: Path) -> None:
    checkout = lay_out(tmp_path, ruff="echo 'E501 Line too long'; exit 1", lint_imports="exit 0")
    ran = check("style", "imports", root=checkout)
    assert ran.returncode == 1
    assert "E501 Line too long" in ran.stdout
    assert ran.stdout.splitlines()[-1].startswith("check: style failed (")


def test_one_line_says_that_all_is_well(tmp_path: Path) -> None:
    checkout = lay_out(tmp_path, ruff="echo 'All checks passed!'", lint_imports="exit 0")
    ran = check("style", "imports", root=checkout)
    assert ran.returncode == 0
    assert ran.stdout.startswith("check: ok in ")
    assert ran.stdout.endswith("s (style imports)\n")


def lay_out(folder: Path, ruff: str, lint_imports: str) -> Path:
    """A checkout whose tools are these lines of shell."""
    (folder / "deploy").mkdir()
    (folder / "deploy" / "check").symlink_to(ROOT / "deploy" / "check")
    (folder / "deploy" / "lib").symlink_to(ROOT / "deploy" / "lib")
    tools = folder / ".venv" / "bin"
    tools.mkdir(parents=True)
    for name, line in {"ruff": ruff, "lint-imports": lint_imports, "pytest": "exit 0"}.items():
        (tools / name).write_text(f"#!/bin/sh\n{line}\n")
        (tools / name).chmod(0o755)
    return folder


def check(*parts: str, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [str(root / "deploy" / "check"), *parts]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
