"""Print the unit tests of what changed, one path a line. Used by deploy/check.

What changed: the commits since the branch left `main`, and what is not committed; on `main` only the latter.

    a/b/c.py                  tests/unit/a/b/test_c.py; without one, those of the nearest test folder of a/b
                              that import a.b.c; without those, that folder
    a/b/__init__.py           the nearest test folder of a/b
    tests/unit/**/test_*.py   itself; any other file of tests/unit: its folder
    tests/support/x.py        the unit tests that import it
    *.md                      tests/integration/deploy/test_docs.py, which takes as long as a unit test

Tests of other packages that use the changed module are not selected: `./deploy/test tests/unit` runs all.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

UNIT = PurePosixPath("tests/unit")
SUPPORT = PurePosixPath("tests/support")
DOCS_TEST = "tests/integration/deploy/test_docs.py"


def changed_files(root: Path) -> list[str]:
    """List the files of the checkout that were changed or added.

    Raises:
        subprocess.CalledProcessError: `root` is no git checkout.
    """
    base = "HEAD"
    for main in ("main", "origin/main"):
        found = _git(root, "merge-base", "HEAD", main, check=False)
        if found:
            base = found[0]
            break
    edited = _git(root, "diff", "--name-only", "--no-renames", "--diff-filter=d", base)
    return sorted({*edited, *_git(root, "ls-files", "--others", "--exclude-standard")})


def select_tests(files: Iterable[str], root: Path) -> list[str]:
    """Select the tests of changed files.

    Args:
        files: Paths below `root`.
        root: The checkout.

    Returns:
        Files and folders below `root` that exist, without those that lie in another of them.
    """
    chosen = {test for file in files for test in _tests_of(PurePosixPath(file), root)}
    return sorted(test for test in chosen if not any(_is_below(test, other) for other in chosen))


def _tests_of(file: PurePosixPath, root: Path) -> list[str]:
    if file.suffix == ".md":
        return [DOCS_TEST]
    if file.is_relative_to(SUPPORT):
        return _importers(_module(file), UNIT, root)
    if file.is_relative_to(UNIT):
        is_test = file.name.startswith("test_") and file.suffix == ".py"
        return [str(file if is_test else _nearest_folder(file.parent, root))]
    if file.suffix != ".py" or not (root / UNIT / file.parts[0]).is_dir():
        return []
    test = UNIT / file.parent / f"test_{file.name}"
    if (root / test).is_file():
        return [str(test)]
    folder = _nearest_folder(UNIT / file.parent, root)
    importers = [] if file.name == "__init__.py" else _importers(_module(file), folder, root)
    return importers or [str(folder)]


def _nearest_folder(folder: PurePosixPath, root: Path) -> PurePosixPath:
    """Return the folder, or the first of its parents that holds tests."""
    while folder != UNIT and not any((root / folder).glob("**/test_*.py")):
        folder = folder.parent
    return folder


def _module(file: PurePosixPath) -> str:
    return ".".join(file.with_suffix("").parts)


def _importers(module: str, folder: PurePosixPath, root: Path) -> list[str]:
    package, _, name = (re.escape(part) for part in module.rpartition("."))
    line = re.compile(
        rf"^\s*(?:from {package}\.{name} import "
        rf"|import {package}\.{name}\b"
        rf"|from {package} import (?:\([^)]*|.*)\b{name}\b)",
        re.MULTILINE,
    )
    return [
        path.relative_to(root).as_posix()
        for path in (root / folder).glob("**/test_*.py")
        if line.search(path.read_text(encoding="utf-8"))
    ]


def _is_below(test: str, other: str) -> bool:
    return test.startswith(f"{other}/")


def _git(root: Path, *arguments: str, check: bool = True) -> list[str]:
    # Names are separated by NUL: git quotes those with other than ASCII letters.
    options = ("-z",) if arguments[0] in ("diff", "ls-files") else ()
    command = ["git", "-C", str(root), arguments[0], *options, *arguments[1:]]
    ran = subprocess.run(command, capture_output=True, text=True, check=check)
    return [name for name in ran.stdout.replace("\0", "\n").splitlines() if name]


if __name__ == "__main__":
    checkout = Path(__file__).resolve().parents[2]
    print("\n".join(select_tests(changed_files(checkout), checkout)))  # noqa: T201
