"""The wheel: five packages, and it works where there is no checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("beat", "common", "harvester_worker", "plotman", "plotter_worker")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that the checkout gets no build folder; without isolation, so offline too."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    ignored = shutil.ignore_patterns("__pycache__", ".*", "*.egg-info", "build", "dist", "farm")
    source.mkdir()
    for path in ROOT.iterdir():
        if path.name.startswith(".") or path.name in ("build", "dist", "farm") or path.suffix == ".egg-info":
            continue
        if path.is_dir():
            shutil.copytree(path, source / path.name, ignore=ignored)
        else:
            shutil.copy(path, source)
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(source)]
    ran = subprocess.run([*build, "--no-isolation"], capture_output=True, text=True, check=False)
    if ran.returncode:  # setuptools is missing or too old: then build fetches it
        ran = subprocess.run(build, capture_output=True, text=True, check=False)
    if ran.returncode and "Could not find a version" in ran.stdout + ran.stderr:
        pytest.skip("offline, and the setuptools here is too old to build a wheel")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bin/ of an environment with the wheel; what it depends on is borrowed from the tests' own.

    A path in a .pth is not searched for further .pth files: the checkout, which is installed in editable
    mode there, is not seen.
    """
    venv = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    python = venv / "bin/python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", wheel], check=True
    )
    site = next(venv.glob("lib/python*/site-packages"))
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return venv / "bin"


def run(folder: Path, *argv: object, **environment: str) -> subprocess.CompletedProcess[str]:
    without = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PLOTMAN"))}
    return subprocess.run(
        list(map(str, argv)),
        cwd=folder,
        env=without | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_wheel_holds_the_five_packages_whole_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)
    ours = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix in (".py", ".typed", ".html")
    }
    assert {name for name in names if ".dist-info/" not in name} == ours


def test_plotman_runs_from_the_wheel_in_any_folder(installed: Path, tmp_path: Path) -> None:
    ran = run(tmp_path, installed / "plotman", "--help")
    assert ran.returncode == 0, ran.stderr
    assert "plotman.yaml" in ran.stdout
    where = run(tmp_path, installed / "python", "-c", "import beat; print(beat.__file__)")
    assert where.stdout.startswith(str(installed.parent)), where


def test_celery_finds_plotman_from_the_wheel_in_any_folder(installed: Path, tmp_path: Path) -> None:
    config = tmp_path / "plotman.yaml"
    config.write_text("version: [2]\nfarm: {broker: 'redis://127.0.0.1:1/0'}\n")
    celery = (installed / "python", "-m", "celery", "-A", "plotman")
    for arguments in (("--help",), ("flower", "--help")):
        ran = run(tmp_path, *celery, *arguments, PLOTMAN_CONFIG=str(config))
        assert ran.returncode == 0, ran.stderr
        assert "Usage" in ran.stdout
    listed = run(
        tmp_path,
        installed / "python",
        "-c",
        "import plotman.celery as p; p.app.loader.import_default_modules(); print(*p.app.tasks)",
        PLOTMAN_CONFIG=str(config),
    )
    assert {"plotter_worker.plot", "harvester_worker.admit"} <= set(listed.stdout.split()), listed.stderr
