"""A real sshd of the test's own: on a free port of the loopback, with keys and configuration in a folder."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from pathlib import Path

from tests.support.ports import free_port, listens
from tests.support.waiting import eventually


def missing() -> str | None:
    """What of ssh is not installed here; None where all is."""
    wanted = ("ssh", "ssh-keygen", "sshd")
    return ", ".join(name for name in wanted if _program(name) is None) or None


def _program(name: str) -> str | None:
    # sshd wants to be called by its whole path, and lies where not every user's PATH leads.
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")


class Sshd:
    """login: what a route names, a host that only our ssh knows. bin: with our `ssh`, which is the real one
    with our configuration: no test reads or writes a user's ~/.ssh."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.login = f"{getpass.getuser()}@{self.HOST}"
        self.bin = folder / "bin"
        self.known_hosts = folder / "known_hosts"
        self._process: subprocess.Popen[bytes] | None = None

    HOST = "over-ssh"

    def start(self) -> None:
        self.bin.mkdir(parents=True)
        for name in ("host", "user"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / name], check=True
            )
        public = (self.folder / "host.pub").read_text("ascii")
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {public}", "ascii")
        self._write_server()
        self._write_client()
        if os.geteuid() == 0:
            # sshd refuses to start without it; Debian's unit makes it, too.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        server = _program("sshd")
        assert server is not None
        with (self.folder / "sshd.log").open("wb") as output:
            self._process = subprocess.Popen(
                [server, "-D", "-e", "-f", self.folder / "sshd_config"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        eventually(lambda: listens(self.port), "sshd answers")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=10)

    def _write_server(self) -> None:
        lines = (
            f"ListenAddress 127.0.0.1:{self.port}",
            f"HostKey {self.folder / 'host'}",
            f"AuthorizedKeysFile {self.folder / 'user.pub'}",
            "StrictModes no",  # the folder lies below a /tmp that others may write
            "PidFile none",
            "UsePAM no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PermitRootLogin prohibit-password",
        )
        (self.folder / "sshd_config").write_text("\n".join(lines) + "\n", "utf-8")

    def _write_client(self) -> None:
        config = self.folder / "ssh_config"
        lines = (
            f"Host {self.HOST}",
            "HostName 127.0.0.1",
            f"Port {self.port}",
            f"IdentityFile {self.folder / 'user'}",
            "IdentitiesOnly yes",
            f"UserKnownHostsFile {self.known_hosts}",
            "GlobalKnownHostsFile /dev/null",
            "StrictHostKeyChecking yes",
        )
        config.write_text("\n".join(lines) + "\n", "utf-8")
        ssh = self.bin / "ssh"
        ssh.write_text(f'#!/bin/sh\nexec "{_program("ssh")}" -F "{config}" "$@"\n', "utf-8")
        ssh.chmod(0o755)
