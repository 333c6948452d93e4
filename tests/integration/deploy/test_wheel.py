"""The wheel: five packages with every file of them, and it works where there is no checkout."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.farm import Farm
from tests.support.installed import PACKAGES, ROOT, build, clone, environment, from_wheel, install, tracked
from tests.support.one_drive import one_drive
from tests.support.ports import free_port
from tests.support.terminal import terminal
from tests.support.waiting import eventually

STARTED_FROM_HERE = re.compile(r'sys\.executable,\s*"-m",\s*"(plotman|celery|beat|common|\w+_worker)')


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clone(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module", params=["from the checkout", "from the sdist"])
def wheel(request: pytest.FixtureRequest, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = ("--wheel",) if request.param == "from the checkout" else ()
    return build(source, tmp_path_factory.mktemp("dist"), *options)


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


def test_the_wheel_holds_every_tracked_file_of_the_five_packages_and_nothing_else(wheel: Path) -> None:
    ours = {name for name in tracked() if name.split("/")[0] in PACKAGES}
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed == ours
    assert any(not name.endswith(".py") for name in ours)


def test_the_sdist_holds_the_same_files(source: Path, tmp_path: Path) -> None:
    build(source, tmp_path)
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    assert {name for name in tracked() if name.split("/")[0] in PACKAGES} <= packed
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"} <= packed


def test_celery_finds_plotman_from_the_wheel_in_any_folder(wheel: Path, tmp_path: Path) -> None:
    install(wheel, tmp_path / "venv")
    programs = tmp_path / "venv" / "bin"
    config = tmp_path / "plotman.yaml"
    config.write_text("version: [2]\nfarm: {broker: 'redis://127.0.0.1:1/0'}\n")
    for arguments in (("--help",), ("flower", "--help")):
        ran = run(tmp_path, programs / "celery", "-A", "plotman", *arguments, PLOTMAN_CONFIG=str(config))
        assert ran.returncode == 0, ran.stderr
        assert "Usage" in ran.stdout
    listed = run(
        tmp_path,
        programs / "python",
        "-c",
        "import plotman.celery as p; p.app.loader.import_default_modules(); print(p.__file__, *p.app.tasks)",
        PLOTMAN_CONFIG=str(config),
    )
    where, *tasks = listed.stdout.split()
    assert where.startswith(str(programs.parent))
    assert {"plotter_worker.plot", "harvester_worker.admit"} <= set(tasks), listed.stderr


def test_the_dashboard_is_drawn_from_the_wheel(broker_url: str, tmp_path: Path) -> None:
    with terminal(from_wheel("plotman", "interactive"), one_drive(tmp_path, broker_url, "desk")) as shown:
        shown.shows("nothing happened yet")
        shown.type("q")
        assert shown.process.wait(20) == 0


# Notes where Python finds each module of ours, and the folders that it searches then.
NOTE_IMPORTS = """
import json, os, re, sys
from importlib.util import source_from_cache

ours = re.compile(r"/(beat|common|harvester_worker|plotman|plotter_worker)/.*[.]pyc?$")

def note(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and ours.search(arguments[0]):
        path = [os.path.abspath(entry) for entry in sys.path]
        file = arguments[0]
        file = source_from_cache(file) if file.endswith("c") else file
        noted = json.dumps({"file": file, "path": path, "cwd": os.getcwd()})
        fd = os.open(os.environ["NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(fd, noted.encode() + b"\\n")
        os.close(fd)

sys.addaudithook(note)
"""


def test_tests_start_all_processes_of_a_farm_from_the_wheel(
    farm: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, notes = tmp_path / "hook", tmp_path / "notes"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(NOTE_IMPORTS)
    monkeypatch.setenv("NOTES", str(notes))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    farm.configure(farm={"flower": True, "flower_port": free_port()})
    farm.up()
    assert farm.celery("report").returncode == 0
    services = ("plotter_worker/service.py", "harvester_worker/service.py", "beat/scheduler.py")
    wanted = (
        "plotman/supervisor/exec_with_pdeathsig.py",
        "plotman/flower/__init__.py",
        "plotman/celery.py",
        *services,
    )

    def noted() -> list[dict[str, Any]]:
        return [json.loads(line) for line in notes.read_text().splitlines()]

    def all_started() -> bool:
        files = [entry["file"] for entry in noted()]
        return all(any(file.endswith(f"/{name}") for file in files) for name in wanted)

    eventually(all_started, "all have been started")
    files = {entry["file"] for entry in noted()}
    assert [file for file in files if not Path(file).is_relative_to(environment())] == []
    own = str(next(environment().glob("lib/python*/site-packages")))
    for folders in {tuple(entry["path"]) for entry in noted()}:
        assert [each for each in folders if Path(each, "plotman", "__init__.py").exists()] == [own]
    assert not [entry["cwd"] for entry in noted() if Path(entry["cwd"]).is_relative_to(ROOT)]


def test_no_test_starts_plotman_from_the_checkout() -> None:
    files = [
        path for room in ("integration", "e2e", "support") for path in (ROOT / "tests" / room).rglob("*.py")
    ]
    assert [path for path in files if STARTED_FROM_HERE.search(path.read_text())] == []
