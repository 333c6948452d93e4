"""README's first lines, by hand: pip, the network, and nothing borrowed from the tests' own environment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.installed import clone
from tests.support.lacking import lacking
from tests.support.one_drive import one_drive
from tests.support.terminal import terminal


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.timeout(600)  # 100 MB come over the network
def test_pip_installs_all_from_the_folder_and_leaves_nothing_in_it(broker_url: str, tmp_path: Path) -> None:
    source, programs = clone(tmp_path / "source"), tmp_path / "plotman" / "bin"
    before = files_of(source)
    subprocess.run([sys.executable, "-m", "venv", programs.parent], check=True)
    pip = (programs / "python", "-m", "pip", "install", "--disable-pip-version-check", "--quiet")
    ran = subprocess.run([*pip, f"{source}[proofs,web]"], capture_output=True, text=True, check=False)
    if "Could not find a version" in ran.stderr:
        lacking("no package index answers pip")
    assert ran.returncode == 0, ran.stderr
    assert files_of(source) == before

    settings = one_drive(tmp_path, broker_url, "desk")

    def works(program: str, *arguments: str) -> str:
        done = subprocess.run(
            [programs / program, *arguments], env=settings, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert works("plotman", "--version") == works("plotman", "version")
    assert "interactive" in works("plotman", "--help")
    works("plotman", "config", "generate", "-o", str(tmp_path / "sample.yaml"))
    works("celery", "-A", "plotman", "--help")
    works("python", "-c", "import chia_rs, chiapos, textual_serve")
    with terminal([str(programs / "plotman"), "interactive"], settings) as shown:
        shown.shows("nothing happened yet")
