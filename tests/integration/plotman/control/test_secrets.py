"""`plotman farm secrets`, as people call it."""

from __future__ import annotations

import stat
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from cryptography import x509

from common.config import load
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


def test_it_names_files_and_prints_no_password(tmp_path: Path) -> None:
    made = tmp_path / "secrets"
    done = make_secrets(made, *TWO, "--broker", "redis")
    for machine in ("p1", "h1"):
        assert str(made / "machines" / f"{machine}.yaml") in done.stdout
        assert len(password(made, machine)) >= 32
        assert password(made, machine) not in done.stdout + done.stderr
    assert "chmod 600" in done.stderr


def test_a_machine_has_one_user_and_its_lines_are_a_valid_configuration(folder: Path, tmp_path: Path) -> None:
    users = contents(folder)["server/users.acl"].splitlines()
    assert [line.split()[1] for line in users] == ["default", "h1", "p1"]
    path = tmp_path / "plotman.yaml"
    drive = "harvester: {drives: [/mnt/farm/*]}\n"
    path.write_text("version: [2]\n" + contents(folder)["machines/p1.yaml"] + drive, encoding="utf-8")
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
        (("--plotter", "a b", "--broker", "redis"), "'a b' is no name for a machine"),
        (("--plotter", "default", "--broker", "redis"), "'default' is no name"),
        (("--plotter", "p1", "--broker", "redis:port"), "'redis:port' is no address"),
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
