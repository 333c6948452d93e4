"""The samples in deploy/, each loaded by the program that it is for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.config.sections.targets import PRESETS
from common.store.server import ask
from common.store.server_checks import server_findings
from plotman.supervisor import broker
from plotter_worker.archiving.targets.definition import without_harmful
from plotter_worker.archiving.targets.rsync import CannotList, listed_bytes
from tests.support.lacking import lacking
from tests.support.paths import ROOT
from tests.support.ports import free_port, listens
from tests.support.secured import redis_server
from tests.support.waiting import eventually

DEPLOY = ROOT / "deploy"


@pytest.mark.parametrize("program", ["redis-server", "valkey"])
def test_a_redis_with_the_sample_and_a_farms_secrets_is_what_plotman_wants(
    program: str, tmp_path: Path
) -> None:
    server = str(broker.binary()) if program == "valkey" else redis_server()
    if server is None:
        pytest.skip("redis-server is missing (apt-get install redis-server)")
    port = free_port()
    secrets = tmp_path / "server"
    secrets.mkdir()
    # In the form of `plotman farm secrets --no-tls`, which has tests of its own.
    (secrets / "redis.conf").write_text(f"bind 127.0.0.1\nport {port}\naclfile {secrets}/users.acl\n")
    (secrets / "users.acl").write_text("user default off\nuser hub on >pw ~* &* +@all\n")
    text = (DEPLOY / "redis.conf").read_text()
    assert "/etc/redis/plotman/redis.conf" in text
    sample = tmp_path / "redis.conf"
    sample.write_text(
        text.replace("/etc/redis/plotman", str(secrets)).replace("/var/lib/redis", str(tmp_path))
    )
    process = subprocess.Popen(["redis-server", sample], executable=server, stdout=subprocess.DEVNULL)
    try:
        eventually(lambda: listens(port), "Redis listens")
        told = ask(f"redis://hub:pw@127.0.0.1:{port}/0")
        assert server_findings(told) == ()
        assert (told.eviction, told.persistent, told.open_to_all) == ("noeviction", True, False)
    finally:
        process.terminate()
        process.wait(timeout=10)


def test_redis_without_the_farms_secrets_does_not_start(tmp_path: Path) -> None:
    sample = tmp_path / "redis.conf"
    sample.write_text(
        (DEPLOY / "redis.conf").read_text().replace("/etc/redis/plotman", str(tmp_path / "nowhere"))
    )
    ran = subprocess.run([broker.binary(), sample], capture_output=True, timeout=20, check=False)
    assert ran.returncode != 0


@pytest.fixture
def module(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The rsync daemon with the sample; gives the variables of a target that sends to it."""
    port = free_port()
    (tmp_path / "farm/d1").mkdir(parents=True)
    secrets = tmp_path / "secrets"
    secrets.write_text("chia:pw\n")
    secrets.chmod(0o600)
    text = (DEPLOY / "rsyncd.conf").read_text()
    for name, value in {
        "path": str(tmp_path / "farm"),
        "use chroot": "no",
        "uid": str(os.getuid()),
        "gid": str(os.getgid()),
        "secrets file": str(secrets),
        "log file": str(tmp_path / "rsyncd.log"),
    }.items():
        text, count = re.subn(rf"(?m)^{name} = .*$", f"{name} = {value}", text)
        assert count == 1, name
    sample = tmp_path / "rsyncd.conf"
    sample.write_text(text)
    process = subprocess.Popen(
        ["rsync", "--daemon", "--no-detach", "--address=127.0.0.1", f"--port={port}", f"--config={sample}"]
    )
    eventually(lambda: listens(port), "rsync listens")
    yield {
        **{name: value or "" for name, value in PRESETS["rsyncd"].env.items()},
        **{"user": "chia", "host": "127.0.0.1", "rsync_port": str(port), "site": "chia"},
        "site_root": str(tmp_path / "farm"),
    }
    process.terminate()
    process.wait(timeout=10)


def url(env: dict[str, str], name: str) -> str:
    return f"rsync://{env['user']}@{env['host']}:{env['rsync_port']}/{env['site']}/d1/{name}"


def rsync(*arguments: object) -> int:
    environment = os.environ | {"RSYNC_PASSWORD": "pw"}
    words = list(map(str, arguments))
    return subprocess.run(["rsync", *words], env=environment, capture_output=True, check=False).returncode


def test_the_rsyncd_sample_takes_plots_as_the_target_rsyncd_sends_them_and_lets_it_look(
    module: dict[str, str], tmp_path: Path
) -> None:
    plot = tmp_path / "a.plot"
    plot.write_bytes(os.urandom(300_000))
    options, _ = without_harmful(module["options"])
    assert rsync(*options.replace("80000", "800000").split(), plot, url(module, "a.plot")) == 0
    environment = os.environ | {"RSYNC_PASSWORD": "pw"}
    assert listed_bytes(module, environment, url(module, "a.plot")) == 300_000
    assert listed_bytes(module, environment, url(module, "b.plot")) is None
    with pytest.raises(CannotList):
        listed_bytes(module, os.environ | {"RSYNC_PASSWORD": "guessed"}, url(module, "a.plot"))


def test_the_rsyncd_sample_lets_nobody_delete_truncate_or_take_a_plot_away(
    module: dict[str, str], tmp_path: Path
) -> None:
    there = Path(module["site_root"]) / "d1/a.plot"
    there.write_bytes(b"p" * 1000)
    empty = tmp_path / "empty"
    empty.mkdir()
    short = tmp_path / "short"
    short.write_bytes(b"")
    here = url(module, "a.plot")
    assert rsync("--remove-source-files", here, tmp_path / "taken") != 0
    assert rsync("-r", "--delete", f"{empty}/", url(module, "")) != 0
    for flag in ("--inplace", "--append", "--backup", "--delay-updates"):
        assert rsync(flag, short, here) != 0, flag
    assert rsync("-p", "--chmod=000", short, url(module, "b.plot")) != 0
    assert there.read_bytes() == b"p" * 1000


def test_nginx_accepts_the_sample(tmp_path: Path) -> None:
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None:
        lacking("nginx is missing (apt-get install nginx-light)")
    certificate = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=f")
    files = ("-keyout", str(tmp_path / "plotman.key"), "-out", str(tmp_path / "plotman.crt"))
    subprocess.run([*certificate, *files], check=True, capture_output=True)
    (tmp_path / "plotman.htpasswd").write_text("farmer:{PLAIN}x\n")
    site = tmp_path / "site.conf"
    site.write_text((DEPLOY / "nginx.conf").read_text().replace("/etc/nginx/", f"{tmp_path}/"))
    (tmp_path / "logs").mkdir()
    # Without these it makes folders below /var/lib.
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = " ".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in kinds)
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/pid;\nevents {{}}\nhttp {{ access_log off; {folders} include {site}; }}\n"
    )
    ran = subprocess.run(
        [nginx, "-t", "-p", tmp_path, "-e", tmp_path / "error.log", "-c", tmp_path / "nginx.conf"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return content


def test_what_the_compose_file_names_exists() -> None:
    stages = re.findall(r"(?m)^FROM \S+ AS (\w+)$", (DEPLOY / "Dockerfile").read_text())
    content = compose()
    for name, service in content["services"].items():
        build = service["build"]
        context = (DEPLOY / build["context"]).resolve()
        assert context == ROOT
        assert (context / build["dockerfile"]).is_file()
        assert build["target"] in stages, name
        for volume in service["volumes"]:
            if isinstance(volume, str):
                source = volume.split(":")[0] if not volume.startswith("$") else ""
                assert not source or (DEPLOY / source).exists() or source in content["volumes"], volume


def test_the_roles_in_the_compose_file_are_those_of_plotman_up() -> None:
    from click.testing import CliRunner

    from plotman.cli.run import up

    for service in compose()["services"].values():
        command = service.get("command")
        if command is not None:
            assert command[:2] == ["plotman", "up"]
            # A name that is none is reported before the file that does not exist.
            ran = CliRunner().invoke(up, [*command[2:], "-c", "/nonexistent"])
            assert "Invalid value" not in ran.output, ran.output


def test_what_the_dockerfile_copies_is_the_wheel_and_nothing_else() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    copied = {word for line in re.findall(r"(?m)^COPY (.*) \S+$", text) for word in line.split()}
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"benchmarks"}
    assert copied == packages | {"pyproject.toml", "README.md", "LICENSE"}
    allowed = re.findall(r"(?m)^!(\S+)$", (DEPLOY / "Dockerfile.dockerignore").read_text())
    assert set(allowed) == copied


def test_docker_compose_understands_the_compose_file() -> None:
    if shutil.which("docker") is None:
        pytest.skip("docker is missing")
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is missing")
    ran = subprocess.run(
        ["docker", "compose", "--profile", "*", "-f", DEPLOY / "compose.yaml", "config", "-q"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
