"""Namespaces of Linux: whether they can be made here, making them, running programs in them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

PROGRAMS = {
    "ip": "iproute2",
    "ss": "iproute2",
    "tc": "iproute2",
    "iptables": "iptables",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "losetup": "mount",
    "fsfreeze": "util-linux",
    "mkfs.ext4": "e2fsprogs",
    "mkfs.xfs": "xfsprogs",
}
_CAPABILITIES = (12, 21)  # CAP_NET_ADMIN, CAP_SYS_ADMIN; linux/capability.h
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_ENVIRONMENT = os.environ | {"PATH": _PATH}


def missing() -> tuple[str, bool] | None:
    """Why no lab can be made here, and whether installing something would help; None where it can."""
    line = next(text for text in Path("/proc/self/status").read_text().splitlines() if text[:6] == "CapEff")
    held = int(line.split()[1], 16)
    if not all(held >> number & 1 for number in _CAPABILITIES):
        return "a lab of several machines needs root (CAP_SYS_ADMIN and CAP_NET_ADMIN)", False
    packages = {package for name, package in PROGRAMS.items() if shutil.which(name, path=_PATH) is None}
    return (f"a lab of several machines needs {', '.join(sorted(packages))}", True) if packages else None


def call(*argv: str | Path | int, check: bool = True, timeout_s: float = 60) -> str:
    """Run a program of the system; what it says. Raises AssertionError with its complaint."""
    words = [str(word) for word in argv]
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env=os.environ | {"PATH": _PATH},
    )
    assert not check or done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
    return done.stdout


class Namespace:
    """Process 1 of some new namespaces, and how to reach into them.

    pid: as seen from outside.
    """

    def __init__(self, flags: Iterable[str], *argv: str | Path) -> None:
        unshare = ["setpriv", "--pdeathsig", "KILL", "unshare", "--fork", "--kill-child", *flags]
        self._outer = subprocess.Popen(
            [*unshare, *map(str, argv)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # unshare complains when its child is killed
            start_new_session=True,
            env=_ENVIRONMENT,
        )
        assert self._outer.stdout is not None
        said = self._outer.stdout.readline()
        assert said == b"up\n", f"{argv}: process 1 did not come up: {said!r}"
        self.pid = children_of(self._outer.pid)[0]

    def kill(self) -> None:
        """Process 1 dies, and the kernel ends everything in its PID namespace with it."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)  # its parent reaps it, and ends
        self._outer.wait()
        assert self._outer.stdout is not None
        self._outer.stdout.close()


def children_of(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]
