"""plotman as its users have it: a wheel in an environment of its own, from which tests start processes.

The environment is made once for each state of the packages and kept in the folder for temporary files; the
workers of pytest-xdist and later runs find it there. It borrows the third-party packages of the tests' own
environment. The editable plotman of that environment stays invisible: Python does not search a folder that a
.pth file names for further .pth files.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("beat", "common", "harvester_worker", "plotman", "plotter_worker")
_ALSO_IN_THE_WHEEL = ("pyproject.toml", "README.md", "LICENSE")
_COMPLETE = "complete"  # a run that was killed leaves an environment without this file
_KEPT_S = 86_400  # longer than any run of the tests, which must not lose its environment
_CELERY = """#!{python}
import sys
from celery.__main__ import main
sys.exit(main())
"""


def from_wheel(module: str, *arguments: str) -> list[str]:
    """The argv of `python -m MODULE ARGUMENTS` from the wheel."""
    return [str(python()), "-m", module, *arguments]


def celery(*arguments: str) -> list[str]:
    """The argv of `celery -A plotman ARGUMENTS` from the wheel."""
    return from_wheel("celery", "-A", "plotman", *arguments)


def python() -> Path:
    """The Python of the environment that has plotman from its wheel."""
    return environment() / "bin" / "python"


@cache
def environment() -> Path:
    """The environment that has plotman from its wheel; made on the first call."""
    home = Path(tempfile.gettempdir(), f"plotman-tests-{os.getuid()}")
    home.mkdir(mode=0o700, exist_ok=True)
    assert home.stat().st_uid == os.getuid(), f"{home} belongs to another user"
    made = home / _state_of_the_packages()
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (made / _COMPLETE).exists():
            _drop_old(home)
            _make(made)
        os.utime(made)
    return made


def tracked() -> list[str]:
    """Every file that git keeps, relative to the checkout. Skips the test outside of a checkout."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout of git")
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.split("\0") if (ROOT / name).is_file()]


def clone(folder: Path) -> Path:
    """Copy what git keeps into `folder`, with changes that are not committed."""
    for name in tracked():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def build(source: Path, folder: Path, *options: str) -> Path:
    """Build a wheel, without the network.

    Args:
        source: The folder with pyproject.toml.
        folder: Where the wheel goes.
        options: Of `python -m build`. Without any, an sdist is built beside it, and the wheel from the sdist.

    Returns:
        The wheel.
    """
    argv = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, *options, source]
    ran = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return next(folder.glob("*.whl"))


def install(wheel: Path, folder: Path) -> None:
    """Make an environment with plotman from this wheel.

    Args:
        wheel: Of plotman.
        folder: Of the environment; made here.
    """
    venv.create(folder, symlinks=True)
    own = folder / "bin" / "python"
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    subprocess.run([own, "-m", "installer", wheel], cwd=folder, check=True)
    program = folder / "bin" / "celery"
    program.write_text(_CELERY.format(python=own))
    program.chmod(0o755)


def _make(made: Path) -> None:
    shutil.rmtree(made, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        install(build(ROOT, Path(folder), "--wheel"), made)
    (made / _COMPLETE).touch()


def _drop_old(home: Path) -> None:
    """Remove environments that no run has asked for since yesterday."""
    for former in home.iterdir():
        if former.is_dir() and time.time() - former.stat().st_mtime > _KEPT_S:
            shutil.rmtree(former, ignore_errors=True)


def _state_of_the_packages() -> str:
    """A digest of all that the environment is made of."""
    digest = hashlib.sha256(f"{sys.prefix} {sys.version}".encode())
    digest.update(Path(__file__).read_bytes())
    files = [ROOT / name for name in _ALSO_IN_THE_WHEEL]
    for package in PACKAGES:
        files += (path for path in sorted((ROOT / package).rglob("*")) if path.is_file())
    for path in files:
        if path.parent.name != "__pycache__":
            digest.update(f"{path.relative_to(ROOT)}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
