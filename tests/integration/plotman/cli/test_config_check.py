"""`plotman config check` with what it looks at: the real chia, real servers, folders, broken files."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.errors import ExitCode
from tests.conftest import made_once
from tests.support.chia_services import StandIn, change
from tests.support.installed import from_wheel
from tests.support.ports import free_port
from tests.support.sections import FARMER, POOL

PASSWORD = "geheim"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    for name in ("tmp", "dst", "state"):
        (tmp_path / name).mkdir()
    return tmp_path / "plotman.yaml"


def text(file: Path, plotting: str, farm: str = "") -> str:
    folder = file.parent
    return f"""\
version: [2]
farm: {{state: {folder}/state{farm}}}
logging: {{plots: {folder}/state}}
directories: {{tmp: [{folder}/tmp], dst: [{folder}/dst]}}
scheduling: {{global_max_jobs: 1, global_stagger_m: 0, polling_time_s: 20, tmpdir_max_jobs: 1,
  tmpdir_stagger_phase_major: 2, tmpdir_stagger_phase_minor: 1}}
plotting: {{{plotting}}}
"""


def check(file: Path, written: str | bytes, **more: str) -> tuple[int, list[str]]:
    """(exit status, the report without the file's name) of the command in a process of its own."""
    file.write_bytes(written if isinstance(written, bytes) else written.encode())
    file.chmod(0o600)
    done = subprocess.run(
        [*from_wheel("plotman", "config", "check"), file],
        env=os.environ | more,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    return done.returncode, [line.removeprefix(f"{file}:") for line in done.stdout.splitlines()]


@pytest.fixture(scope="session")
def plain_root(chia: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """chia's settings as its `init` writes them."""

    def init(root: Path) -> None:
        env = os.environ | {"CHIA_ROOT": str(root)}
        subprocess.run([chia, "init"], env=env, check=True, capture_output=True)

    return made_once(tmp_path_factory, "plainroot", init)


KEYS = f"farmer_pk: {FARMER}, pool_pk: {POOL}"


@pytest.mark.plotter
@pytest.mark.parametrize(
    ("kind", "options", "status", "told"),
    [
        ("chia", "k: 24", ExitCode.CONFIG,
         r"7: plotting\.chia\.k: .* makes no plot of k24, so every plot would fail\. Write k: 32 or more\. "
         r".* min_mainnet_k_size: 24 in config/config\.yaml"),
        ("chiapos", "k: 18, n_buckets: 16, stripes: 2000", ExitCode.CONFIG,
         r"7: plotting\.chiapos\.k: .* makes no plot of k18"),
        ("chia", "k: 25", ExitCode.OK,
         r"7: warning: plotting\.chia\.k: k25 plots win nothing: the network accepts k32 and larger\. "),
        ("chia", "k: 32", ExitCode.OK, None),
        ("chiapos", "k: 33", ExitCode.OK, None),
    ],
)  # fmt: skip
def test_a_k_that_chia_refuses_is_told(
    file: Path, chia: Path, plain_root: Path, kind: str, options: str, status: ExitCode, told: str | None
) -> None:
    plotting = f"type: {kind}, {KEYS}, {kind}: {{executable: {chia}, {options}}}"
    code, lines = check(file, text(file, plotting), CHIA_ROOT=str(plain_root))
    assert code == status, lines
    assert [bool(re.match(told or "", line)) for line in lines] == [True] * bool(told), lines
    assert [path.name for path in file.parent.iterdir() if path.is_dir()].sort() == [
        "dst",
        "state",
        "tmp",
    ].sort()
    assert not any(list((file.parent / name).iterdir()) for name in ("tmp", "dst", "state"))


@pytest.mark.plotter
def test_a_chia_without_keys_needs_a_farmer_key(file: Path, chia: Path, plain_root: Path) -> None:
    plotting = f"type: chiapos, pool_pk: {POOL}, chiapos: {{executable: {chia}, k: 32}}"
    home = str(file.parent / "home")  # where chia keeps its keys
    code, lines = check(file, text(file, plotting), CHIA_ROOT=str(plain_root), HOME=home)
    assert code == ExitCode.CONFIG
    (line,) = lines
    assert re.search(r"plotting\.farmer_pk: is missing, and .* has no keys", line)


@pytest.mark.plotter
def test_small_plots_that_chias_settings_allow_are_no_mistake(
    file: Path, chia: Path, chia_root: Path, tmp_path: Path
) -> None:
    plotting = f"type: chiapos, {KEYS}, chiapos: {{executable: %s, k: 18, n_buckets: 16, stripes: 2000}}"
    assert check(file, text(file, plotting % chia), CHIA_ROOT=str(chia_root)) == (ExitCode.OK, [])
    script = tmp_path / "chia"  # as the quick start names one
    script.write_text(f'#!/bin/sh\nexport CHIA_ROOT={chia_root}\nexec {chia} "$@"\n')
    script.chmod(0o755)
    assert check(file, text(file, plotting % script), CHIA_ROOT=str(tmp_path)) == (ExitCode.OK, [])


@pytest.fixture
def plotter(tmp_path: Path) -> str:
    (tmp_path / "chia").write_text("#!/bin/sh\necho 2.7.5\n")
    (tmp_path / "chia").chmod(0o755)
    return f"chia: {{executable: {tmp_path}/chia}}"


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def told_of_broker(file: Path, plotter: str, url: str) -> list[str]:
    code, lines = check(file, text(file, plotter, f", broker: '{url}'"))
    assert code == ExitCode.OK, "a broker may be started later"
    assert all(line.startswith("2: warning: farm.broker: ") for line in lines), lines
    return [line.removeprefix("2: warning: farm.broker: ") for line in lines]


def test_a_broker_that_answers_is_no_news_and_a_wrong_password_is(
    file: Path, plotter: str, broker_url: str
) -> None:
    assert told_of_broker(file, plotter, broker_url) == []
    place = broker_url.rpartition("@")[2]
    (line,) = told_of_broker(file, plotter, f"redis://:{PASSWORD}@{place}")
    assert "does not accept our password" in line and "Correct farm.broker" in line


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (f"redis://:{PASSWORD}@no-such-host.invalid", "Name or service not known|not answer"),
        (f"redis://:{PASSWORD}@127.0.0.1:1", "Connection refused"),
        (f"redis://127.0.0.1:1/0?password={PASSWORD}", "Connection refused"),
        ("unix:///no/such/socket", "No such file"),
        (f"redis://:{PASSWORD}@127.0.0.1:1/0?colour={PASSWORD}", "an unknown name or option"),
        (f"redis://127.0.0.1:1/0?socket_timeout={PASSWORD}", "an unknown name or option"),
    ],
)
def test_a_broker_that_does_not_answer_is_a_warning_with_its_reason_and_no_password(
    file: Path, plotter: str, url: str, reason: str
) -> None:
    (line,) = told_of_broker(file, plotter, url)
    assert re.search(reason, line), line
    assert re.search(r"farm\.broker|correct this", line), "the cure"


def test_a_broker_that_never_answers_is_not_waited_for(file: Path, plotter: str, silent: int) -> None:
    began_s = time.monotonic()
    (line,) = told_of_broker(file, plotter, f"redis://:{PASSWORD}@127.0.0.1:{silent}")
    assert "answer" in line
    assert time.monotonic() - began_s < 10


def test_the_answer_is_json_on_request(file: Path, plotter: str) -> None:
    check(file, text(file, plotter, ", broker: 'redis://127.0.0.1:1'"))
    done = subprocess.run(
        [*from_wheel("plotman", "config", "check", "--json"), file], capture_output=True, check=False
    )
    (problem,) = json.loads(done.stdout)
    assert (problem["key"], problem["level"], problem["line"]) == ("farm.broker", "warning", 2)


CHIAS = {"harvester": ("harvester", "harvester"), "full_node": ("replot", "node")}


@pytest.fixture(params=CHIAS)
def service(request: pytest.FixtureRequest, chia_root: Path, tmp_path: Path) -> tuple[str, Path]:
    """A service of chia whose settings plotman.yaml names, and their folder."""
    root = tmp_path / "chia"
    shutil.copytree(chia_root, root)
    change(root, request.param, rpc_port=free_port())
    return request.param, root


def told_of_chia(file: Path, section: str, root: Path) -> list[str]:
    (file.parent / "drive").mkdir(exist_ok=True)
    drives = f"drives: [{file.parent}/drive], plain_folders: true, receiver_tls: false, "
    keys = {"harvester": drives, "replot": ""}[section]
    content = f"version: [2]\nfarm: {{state: {file.parent}/state}}\n{section}: {{{keys}chia_root: {root}}}\n"
    code, lines = check(file, content)
    assert code == ExitCode.OK, "chia may be started later"
    return [line for line in lines if "chia" in line]


@pytest.mark.plotter
def test_a_chia_that_answers_is_no_news_and_one_that_does_not_is_a_warning(
    file: Path, service: tuple[str, Path]
) -> None:
    name, root = service
    section, start = CHIAS[name]
    stand_in = StandIn(root, name, {"/healthz": {"success": True}})
    try:
        assert told_of_chia(file, section, root) == []
    finally:
        stand_in.stop()
    assert stand_in.asked == ["/healthz"]
    (line,) = told_of_chia(file, section, root)
    assert line.startswith(f"3: warning: {section}.chia_root: chia's ")
    assert "Connection refused" in line and f"`chia start {start}`" in line


@pytest.mark.plotter
def test_a_folder_of_chia_that_cannot_be_used_is_a_warning(file: Path, service: tuple[str, Path]) -> None:
    name, root = service
    section, _ = CHIAS[name]
    change(root, name, rpc_port="x")
    (line,) = told_of_chia(file, section, root)
    assert f"config.yaml cannot be read: wrong or missing: {name}.rpc_port" in line
    (root / "config" / "config.yaml").unlink()
    assert "config.yaml cannot be read: No such file" in " ".join(told_of_chia(file, section, root))


@pytest.mark.plotter
def test_a_chia_that_never_answers_is_not_waited_for(
    file: Path, service: tuple[str, Path], silent: int
) -> None:
    name, root = service
    change(root, name, rpc_port=silent)
    began_s = time.monotonic()
    (line,) = told_of_chia(file, CHIAS[name][0], root)
    assert "answer" in line
    assert time.monotonic() - began_s < 10
