"""A Redis that is secured as `plotman farm secrets` says, its clients, and machines that use it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
import yaml

from tests.support.installed import from_wheel
from tests.support.ports import free_port
from tests.support.waiting import eventually

_ADMIN = "adminpw"  # only for the tests' own looks: the farm's file has no such user


def redis_server() -> str | None:
    """Debian's server, which speaks TLS (the wheel's does not); None where it is not installed.

    redis-check-rdb is the same program, in a package that starts no daemon: what it does depends on the name
    by which it is called.
    """
    return shutil.which("redis-server") or shutil.which("redis-check-rdb")


def make_secrets(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        from_wheel("plotman", "farm", "secrets", str(folder), *options),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@dataclass
class Secured:
    """folder: of `plotman farm secrets`. port: where the server shall listen, on 127.0.0.1."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    tls: bool = True

    def make(self, *machines: str) -> None:
        done = make_secrets(
            self.folder,
            *machines,
            "--broker",
            f"127.0.0.1:{self.port}",
            "--ca-file",
            str(self.folder / "server" / "ca.crt"),
            "--tls" if self.tls else "--no-tls",
        )
        assert done.returncode == 0, done.stderr

    def start(self, program: str) -> None:
        acl = self.folder / "server" / "users.acl"
        farm = acl.read_text(encoding="utf-8")
        if "user admin " not in farm:
            acl.write_text(f"{farm}user admin on >{_ADMIN} ~* &* +@all\n", encoding="utf-8")
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        with (self.folder / "redis.log").open("wb") as output:
            self.process = subprocess.Popen(
                ["redis-server", str(self.folder / "server" / "redis.conf"), "--dir", str(data)],
                executable=program,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        eventually(self._answers, "the server answers")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=10)

    def farm_section(self, machine: str) -> dict[str, Any]:
        """The lines that the machine is given for its plotman.yaml."""
        text = (self.folder / "machines" / f"{machine}.yaml").read_text(encoding="utf-8")
        section: dict[str, Any] = yaml.safe_load(text)["farm"]
        return section

    def url(self, machine: str) -> str:
        return str(self.farm_section(machine)["broker"])

    def passwords(self) -> list[str]:
        names = [path.stem for path in (self.folder / "machines").glob("*.yaml")]
        return [self.url(name).partition("@")[0].rpartition(":")[2] for name in names]

    def client(self, machine: str) -> redis.Redis:
        return redis.Redis.from_url(self.url(machine), decode_responses=True, protocol=2)

    def admin(self) -> redis.Redis:
        return self.stranger(username="admin", password=_ADMIN)

    def stranger(self, **options: Any) -> redis.Redis:
        """A client without a user."""
        if self.tls:
            options |= {"ssl": True, "ssl_ca_certs": str(self.folder / "server" / "ca.crt")}
        return redis.Redis(port=self.port, decode_responses=True, protocol=2, **options)

    def _answers(self) -> bool:
        try:
            with self.admin() as admin:
                return bool(admin.ping())
        except redis.ConnectionError:
            return False


@dataclass
class Machines:
    """Machines of a secured farm, each with a plotman.yaml in a folder of its own.

    variables: of the environment of each process.
    """

    folder: Path
    secured: Secured
    variables: Mapping[str, str] = field(default_factory=dict)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def configure(self, name: str, **sections: Any) -> Path:
        """Write the machine's plotman.yaml: the lines that it was given, and `sections`; returns its path."""
        given = self.secured.farm_section(name)
        farm = (
            given | {"state": str(self.folder / name / "state"), "flower": False} | sections.pop("farm", {})
        )
        path = self.folder / name / "plotman.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump({"version": [2], "farm": farm} | sections), encoding="utf-8")
        return path

    def environment(self, name: str) -> dict[str, str]:
        return os.environ | {"PLOTMAN_CONFIG": str(self.folder / name / "plotman.yaml")} | self.variables

    def up(self, name: str) -> Path:
        """Run `plotman up` on the machine until `stop`; returns the file with its output."""
        return self.begin(name, "plotman", "up")

    def begin(self, name: str, *arguments: str) -> Path:
        """Run `python -m ARGUMENTS` on the machine until `stop`; returns the file with its output."""
        log = self.folder / name / f"{arguments[1]}.log"
        with log.open("wb") as output:
            self.processes.append(
                subprocess.Popen(
                    from_wheel(*arguments),
                    env=self.environment(name),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )
        return log

    def run(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `python -m ARGUMENTS` on the machine to its end."""
        return subprocess.run(
            from_wheel(*arguments),
            env=self.environment(name),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(timeout=30)
