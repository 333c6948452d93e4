"""`plotman farm secrets`, as operators call it."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from cryptography import x509

from common.config import load
from common.system.machine import is_here
from tests.support.secured import make_secrets

TWO = ("--plotter", "p1", "--harvester", "h1", "--scheduler", "p1")


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.is_file()
    }


def broker(folder: Path, machine: str) -> str:
    section = yaml.safe_load((folder / "machines" / f"{machine}.yaml").read_text(encoding="utf-8"))
    return str(section["farm"]["broker"])


def password(folder: Path, machine: str) -> str:
    return urlsplit(broker(folder, machine)).password or ""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "secrets"
    done = make_secrets(made, *TWO, "--broker", "redis.farm.lan:7000")
    assert done.returncode == 0, done.stderr
    return made


def test_only_its_owner_can_read_anything_of_it(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path


def test_it_prints_commands_and_no_password(tmp_path: Path) -> None:
    made = tmp_path / "secrets"
    done = make_secrets(made, *TWO, "--broker", "redis")
    for machine in ("p1", "h1"):
        assert len(password(made, machine)) >= 32
        assert password(made, machine) not in done.stdout + done.stderr
    assert f"cd {made}" in done.stdout
    assert "holds every password" in done.stderr


MANY = tuple(option for number in range(1, 31) for option in ("--plotter", f"plotter{number}"))


@pytest.mark.parametrize("broker", ["broker1", "127.0.0.1"])
def test_the_commands_fit_a_terminal_of_80_columns(broker: str) -> None:
    made = Path(tempfile.mkdtemp(prefix="f", dir="/tmp"))  # as short as a home
    shutil.rmtree(made)
    try:
        first = make_secrets(made, *MANY, "--broker", broker, "--server-dir", "/etc/redis/plotman")
        more = make_secrets(made, "--add", "--viewer", "desk", "--harvester", "plotter1")
    finally:
        shutil.rmtree(made)
    for line in (first.stdout + first.stderr + more.stdout + more.stderr).splitlines():
        assert len(line) <= 80, line


class Machines:
    """Stands in for ssh, scp, chown and systemctl: a folder for each machine, in place of `etc`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.etc = folder / "etc"
        self.log = folder / "log"
        programs = folder / "bin"
        programs.mkdir(parents=True)
        for name, body in {
            "ssh": '[ "$1" = -n ] && { exec </dev/null; shift; }; host=${1#root@}; shift\n'
            f'sh -c "$(printf %s "$*" | sed "s#{self.etc}#{folder}/$host#g")"',
            "scp": 'for to; do :; done; host=${to#root@}; host=${host%%:*}; mkdir -p "'
            + f"{folder}"
            + '/$host"\n'
            f'to=$(printf %s "${{to#*:}}" | sed "s#{self.etc}#{folder}/$host#g")\n'
            'while [ $# -gt 1 ]; do cp "$1" "$to"; shift; done',
            "chown": f'echo "chown $*" >>{self.log}',
            "systemctl": f'echo "systemctl $*" >>{self.log}',
        }.items():
            (programs / name).write_text(f"#!/bin/sh\nset -e\n{body}\n", encoding="utf-8")
            (programs / name).chmod(0o755)
        self.path = f"{programs}:{os.environ['PATH']}"

    def paste(self, commands: str) -> subprocess.CompletedProcess[str]:
        """Through stdin, as a terminal gets it: what reads stdin takes lines away from the shell."""
        commands = commands.replace("/etc/redis/redis.conf", str(self.folder / "redis.conf"))
        return subprocess.run(
            ["sh", "-e"],
            input=commands,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "PATH": self.path},
        )


@pytest.mark.parametrize("broker", ["redis1", "127.0.0.1"])
def test_the_pasted_commands_install_every_file_and_restart_redis(broker: str, tmp_path: Path) -> None:
    made, machines = tmp_path / "secrets", Machines(tmp_path / "machines")
    server = machines.etc / "db"
    done = make_secrets(
        made, *TWO, "--broker", broker, "--server-dir", str(server), "--ca-file", str(machines.etc / "ca.crt")
    )
    pasted = machines.paste(done.stdout)
    assert pasted.returncode == 0, pasted.stderr

    installed = server if broker == "127.0.0.1" else machines.folder / broker / "db"
    assert {path.name for path in installed.iterdir()} == {path.name for path in (made / "server").iterdir()}
    assert stat.S_IMODE(installed.stat().st_mode) == 0o700
    assert f"include {installed}/redis.conf" in (machines.folder / "redis.conf").read_text(encoding="utf-8")
    assert machines.log.read_text(encoding="utf-8").splitlines()[-1] == "systemctl restart redis-server"
    for name in ("p1", "h1"):
        theirs = machines.folder / name
        assert (theirs / "plotman.yaml").read_text() == contents(made)[f"machines/{name}.yaml"]
        assert stat.S_IMODE((theirs / "plotman.yaml").stat().st_mode) == 0o600
        assert (theirs / "ca.crt").read_text() == contents(made)["server/ca.crt"]

    more = make_secrets(made, "--add", "--viewer", "eye")
    pasted = machines.paste(more.stdout)
    assert pasted.returncode == 0, pasted.stderr
    assert "user eye " in (installed / "users.acl").read_text(encoding="utf-8")
    assert (machines.folder / "eye" / "plotman.yaml").exists()
    assert machines.log.read_text(encoding="utf-8").count("systemctl restart redis-server") == 2


@pytest.mark.parametrize("name", ["p1", socket.gethostname()])
def test_a_plotman_yaml_that_is_there_is_not_overwritten(name: str, tmp_path: Path) -> None:
    made, machines = tmp_path / "secrets", Machines(tmp_path / "machines")
    theirs = machines.folder / name if name == "p1" else machines.etc
    theirs.mkdir()
    (theirs / "plotman.yaml").write_text("mine\n", encoding="utf-8")
    ca_file = str(machines.etc / "ca.crt")
    done = make_secrets(made, "--plotter", name, "--broker", "127.0.0.1", "--ca-file", ca_file)
    pasted = machines.paste(done.stdout)
    assert pasted.returncode != 0
    assert "plotman.yaml" in pasted.stderr
    assert (theirs / "plotman.yaml").read_text(encoding="utf-8") == "mine\n"


def test_a_machine_of_the_farm_that_gets_a_duty_is_named_and_gets_no_new_file(folder: Path) -> None:
    done = make_secrets(folder, "--add", "--plotter", "h1")
    assert "h1 keeps its plotman.yaml" in done.stderr
    assert "plotter" in done.stderr
    assert "machines/" not in done.stdout


def test_no_address_of_another_machine_passes_for_this_one() -> None:
    assert is_here(socket.gethostname())
    assert is_here("127.0.0.1")
    assert is_here("::1")
    assert not is_here("192.0.2.7")
    assert not is_here("2001:db8::7")
    assert not is_here("broker1.farm.lan")


def test_a_machine_has_one_user_and_its_lines_are_a_valid_configuration(folder: Path, tmp_path: Path) -> None:
    users = contents(folder)["server/users.acl"].splitlines()
    assert [line.split()[1] for line in users] == ["default", "h1", "p1"]
    path = tmp_path / "plotman.yaml"
    drive = "harvester: {drives: [/mnt/farm/*]}\n"
    path.write_text(contents(folder)["machines/p1.yaml"] + drive, encoding="utf-8")
    settings = load(path)
    assert settings.host == "p1"
    assert settings.runs_scheduler
    parts = urlsplit(settings.broker_url or "")
    assert (parts.scheme, parts.hostname, parts.port) == ("rediss", "redis.farm.lan", 7000)


def test_the_server_s_certificate_is_for_the_name_that_the_machines_use(folder: Path) -> None:
    files = contents(folder)
    server = x509.load_pem_x509_certificate(files["server/server.crt"].encode())
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "redis.farm.lan" in names.get_values_for_type(x509.DNSName)
    server.verify_directly_issued_by(x509.load_pem_x509_certificate(files["server/ca.crt"].encode()))
    assert not [name for name in files if "ca.key" in name]


def test_nothing_is_overwritten_unasked(folder: Path) -> None:
    before = contents(folder)
    done = make_secrets(folder, *TWO, "--broker", "redis.farm.lan:7000")
    assert done.returncode == 2
    assert "--add" in done.stderr
    assert "--force" in done.stderr
    assert contents(folder) == before


def test_force_makes_everything_anew(folder: Path) -> None:
    before = password(folder, "p1")
    assert make_secrets(folder, *TWO, "--broker", "redis", "--force").returncode == 0
    assert password(folder, "p1") != before


def test_a_machine_is_added_and_the_others_keep_their_passwords(folder: Path) -> None:
    before = contents(folder)
    done = make_secrets(folder, "--add", "--harvester", "h2", "--harvester", "p1", "--viewer", "eye")
    assert done.returncode == 0, done.stderr
    after = contents(folder)
    assert all(
        after[name] == text for name, text in before.items() if name not in ("server/users.acl", "farm.json")
    )
    assert set(after) - set(before) == {"machines/h2.yaml", "machines/eye.yaml"}
    lines = {line.split()[1]: line for line in after["server/users.acl"].splitlines()}
    assert "harvester.p1" in lines["p1"]
    old = next(line for line in before["server/users.acl"].splitlines() if line.startswith("user h1 "))
    assert lines["h1"] == old
    assert broker(folder, "h2").startswith("rediss://h2:")


def test_without_tls_there_are_no_certificates_and_plain_urls(tmp_path: Path) -> None:
    made = tmp_path / "secrets"
    assert make_secrets(made, *TWO, "--broker", "10.0.0.1", "--no-tls").returncode == 0
    assert broker(made, "h1").endswith("@10.0.0.1:6379/0")
    assert not list(made.rglob("*.crt"))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "at least one machine"),
        (("--plotter", "p1"), "--broker HOST[:PORT]"),
        (("--plotter", "a b", "--broker", "redis"), "'a b' is not a valid name of a machine"),
        (("--plotter", "default", "--broker", "redis"), "'default' is not a valid name"),
        (("--plotter", "p1", "--broker", "redis:port"), "'redis:port' is not an address"),
        (("--add", "--plotter", "p1"), "without --add"),
        (("--add", "--plotter", "p1", "--broker", "redis"), "leave --broker"),
    ],
)
def test_a_mistake_is_told_in_a_line_and_nothing_is_made(
    tmp_path: Path, options: tuple[str, ...], told: str
) -> None:
    done = make_secrets(tmp_path / "secrets", *options)
    assert done.returncode != 0
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "secrets").exists()
