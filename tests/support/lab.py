"""Machines for tests: a host of a lab is a network, UTS, PID and mount namespace of its own.

It has its own address, hostname, process table, boot id and mounted drives, and hangs with the others on a
bridge that no other network reaches. Nothing is named outside the lab, so that any number of labs stand
side by side; whatever a lab holds goes with the process that made it, however that ends: namespaces have no
names, the processes die with their maker (PR_SET_PDEATHSIG), mounts with their namespace, loop devices with
their mounts.

Needs root, iproute2, util-linux, e2fsprogs, xfsprogs and iptables.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

from tests.support.drives import Drive, shut_down
from tests.support.namespaces import Namespace, call, children_of
from tests.support.waiting import eventually

# Process 1 of a host. SIGCHLD ignored: orphans (plotters whose worker was killed) leave no zombies.
_INIT = """
import signal, socket, subprocess, sys
name, boot_id = sys.argv[1:]
signal.signal(signal.SIGCHLD, signal.SIG_DFL)
socket.sethostname(name)
subprocess.run(["mount", "--bind", boot_id, "/proc/sys/kernel/random/boot_id"], check=True)
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.signal(signal.SIGUSR1, lambda *_: signal.signal(signal.SIGCHLD, signal.SIG_DFL))
signal.signal(signal.SIGUSR2, lambda *_: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
print("up", flush=True)
while True:
    signal.pause()
"""

_FAR = Path(__file__).with_name("far.py")
_HEADERS_BYTES = 52  # IP 20, TCP 20, timestamps 12


class Lab:
    """A bridge, and hosts that hang on it. folder: for all files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hosts: dict[str, Host] = {}
        folder.mkdir(parents=True, exist_ok=True)
        wait = "print('up', flush=True); import signal; signal.pause()"
        self._switch = Namespace(["--net"], sys.executable, "-S", "-c", wait)
        self.switch("ip", "link", "add", "br0", "type", "bridge")
        self.switch("ip", "link", "set", "br0", "up")

    def switch(self, *argv: str | int, check: bool = True) -> str:
        """Run a program in the network of the bridge."""
        return call("nsenter", "-t", self._switch.pid, "-n", "--", *argv, check=check)

    def start(self, *argv: str) -> subprocess.Popen[bytes]:
        """Start a program in the network of the bridge; it ends with this process at the latest."""
        enter = ("setpriv", "--pdeathsig", "KILL", "nsenter", "-t", str(self._switch.pid), "-n", "--")
        return subprocess.Popen([*enter, *argv], stdin=subprocess.DEVNULL)

    def host(self, name: str) -> Host:
        """A new host, booted."""
        made = Host(self, name, len(self.hosts) + 1)
        self.hosts[name] = made
        made.on()
        return made

    def close(self) -> None:
        """End all of it, also after a test that failed half way."""
        for host in self.hosts.values():
            if host.is_on:
                host.off()
        self._switch.kill()


class Host:
    """A machine. address: its IP address, the same after each boot, as is its MAC address: a neighbour's
    ARP entry must not outlive the truth.
    """

    def __init__(self, lab: Lab, name: str, number: int) -> None:
        self.name = name
        self.address = f"10.99.0.{number}"
        self.folder = lab.folder / name
        self.drives: dict[str, Drive] = {}
        self._lab = lab
        self._port = f"port{number}"  # on the bridge
        self._mac = f"02:00:0a:63:00:{number:02x}"
        self._namespace: Namespace | None = None
        self._spawned: list[subprocess.Popen[bytes]] = []
        self._line: tuple[str, subprocess.Popen[bytes]] | None = None  # where it is far: interface, relay
        self.folder.mkdir(parents=True, exist_ok=True)

    # Power.

    @property
    def is_on(self) -> bool:
        return self._namespace is not None

    @property
    def pid(self) -> int:
        """Of its process 1, as seen from outside."""
        assert self._namespace is not None, f"{self.name} is off"
        return self._namespace.pid

    def on(self) -> None:
        """Boot. All its drives are mounted, tmpfs drives empty."""
        boot_id = self.folder / "boot_id"
        boot_id.write_text(f"{uuid4()}\n")
        flags = ["--net", "--uts", "--mount", "--pid", "--mount-proc"]
        self._namespace = Namespace(flags, sys.executable, "-S", "-c", _INIT, self.name, boot_id)
        port = self._port
        self._lab.switch("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", self.pid)
        self.call("ip", "link", "set", "eth0", "address", self._mac)
        self.call("ip", "addr", "add", f"{self.address}/24", "dev", "eth0")
        self.call("ip", "link", "set", "eth0", "up")
        self._lab.switch("ip", "link", "set", port, "master", "br0", "up")
        for drive in self.drives.values():
            drive.mount(self)

    def off(self) -> None:
        """End all its processes at once; what they had written is not lost."""
        assert self._namespace is not None
        self._namespace.kill()
        self._namespace = None
        for process in self._spawned:
            process.wait()
        self._spawned.clear()
        # The kernel gets round to it by itself; the cable's name must be free before the next boot.
        self._lab.switch("ip", "link", "del", self._port, check=False)

    def crash(self) -> None:
        """A power cut: the drives come back as they were on disk, without what was still in memory."""
        fds = [
            os.open(self.seen(drive.path), os.O_RDONLY | os.O_DIRECTORY)
            for drive in self.drives.values()
            if drive.on_disk and drive.is_mounted(self)
        ]
        try:
            os.kill(self.pid, signal.SIGKILL)
            for fd in fds:
                shut_down(fd)
        finally:
            for fd in fds:
                os.close(fd)
        self.off()

    # Programs.

    def argv(self, *argv: str | Path | int) -> list[str]:
        """How to run a program on this host from outside."""
        return ["nsenter", "-t", str(self.pid), "-m", "-u", "-p", "-n", "--", *map(str, argv)]

    def call(self, *argv: str | Path | int, check: bool = True, timeout_s: float = 60) -> str:
        """Run a program on this host; what it says."""
        return call(*self.argv(*argv), check=check, timeout_s=timeout_s)

    def spawn(self, *argv: str | Path, log: Path, **environment: str) -> int:
        """Start a program on this host; its pid as seen from outside."""
        with log.open("ab") as output:
            process = subprocess.Popen(
                self.argv(*argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=os.environ | environment,
            )
        self._spawned.append(process)
        return eventually(
            lambda: children_of(process.pid) or process.poll() is not None,
            f"{argv} starts on {self.name}",
            10,
        ) and next(iter(children_of(process.pid)), 0)

    def run_as(self, pid: int, *argv: str | Path | int) -> Path:
        """Start a program in the background under this pid, once it is free; the file of what it prints."""
        log = self.folder / f"pid-{pid}.log"
        start = (
            f"for try in $(seq 100); do echo {pid - 1} > /proc/sys/kernel/ns_last_pid; "
            f'"$@" >>{log} 2>&1 & test $! = {pid} && exit; kill -KILL $!; sleep 0.1; done; exit 1'
        )
        self.call("sh", "-c", start, "sh", *argv)
        return log

    def kill(self, pid: int, number: int = 9) -> None:
        """Signal a process by its pid on this host."""
        self.call("kill", f"-{number}", pid)

    def reaps(self, orphans: bool) -> None:
        """Whether process 1 reaps orphans. Programs that are process 1 of a container often do not."""
        os.kill(self.pid, signal.SIGUSR2 if orphans else signal.SIGUSR1)

    def seen(self, path: str | Path) -> Path:
        """A path of this host, for somebody outside: with its mounts."""
        return Path(f"/proc/{self.pid}/root{path}")

    # Network.

    def unplug(self) -> None:
        """The cable is out, and the host sees it."""
        self._lab.switch("ip", "link", "set", self._port, "down")

    def silence(self) -> None:
        """Packets vanish on the way, both ways, without an error."""
        self._lab.switch("ip", "link", "set", self._port, "nomaster")

    def half_open(self) -> None:
        """All connections that stand now are dead for ever without an error; new ones work."""
        for line in self.call("ss", "-Htn", "state", "established").splitlines():
            _, _, here, there = line.split()[:4]
            if there.startswith("127."):
                continue
            ends = zip(("--sport", "--dport"), (here, there), strict=True)
            ports = {option: end.rpartition(":")[2] for option, end in ends}
            out = ("-p", "tcp", "--sport", ports["--sport"], "--dport", ports["--dport"], "-j", "DROP")
            back = ("-p", "tcp", "--sport", ports["--dport"], "--dport", ports["--sport"], "-j", "DROP")
            self.call("iptables", "-A", "OUTPUT", *out)
            self.call("iptables", "-A", "INPUT", *back)

    def reset(self) -> None:
        """All connections to other hosts are reset at both ends; new ones work."""
        self.call("ss", "-K", "-tn", "not", "dst", "127.0.0.0/8")

    def rate(self, mbit_s: float) -> None:
        """What leaves this host goes no faster than this; 0: as fast as it can."""
        self.call("tc", "qdisc", "del", "dev", "eth0", "root", check=False)
        if mbit_s:
            limit = (f"{mbit_s}mbit", "burst", "64kb", "latency", "200ms")
            self.call("tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", *limit)

    def far(self, delay_ms: int, loss_percent: int) -> None:
        """Every packet to and from this host comes this late, and some never do; until `heal`."""
        near, end = f"near{self._port}", f"end{self._port}"
        self._lab.switch("ip", "link", "add", near, "type", "veth", "peer", "name", end)
        self._lab.switch("ip", "link", "set", self._port, "nomaster")
        self._lab.switch("ip", "link", "set", near, "master", "br0", "up")
        self._lab.switch("ip", "link", "set", end, "up")
        self.call(sys.executable, "-S", _FAR, "plain", "eth0")
        self._lab.switch(sys.executable, "-S", _FAR, "plain", near)
        relay = (sys.executable, "-S", str(_FAR), "relay", self._port, end, str(delay_ms), str(loss_percent))
        self._line = (near, self._lab.start(*relay))

    def count(self, port: int) -> None:
        """Count from now on what comes in for this TCP port."""
        self.call("iptables", "-t", "mangle", "-A", "PREROUTING", "-p", "tcp", "--dport", port)

    def counted_bytes(self, port: int) -> int:
        """What has come in for this port since `count`, without the headers of IP and TCP."""
        for line in self.call("iptables", "-t", "mangle", "-nvxL", "PREROUTING").splitlines():
            if line.endswith(f"dpt:{port}"):
                packets, size_bytes = map(int, line.split()[:2])
                return size_bytes - packets * _HEADERS_BYTES
        raise AssertionError(f"{self.name} does not count what comes in for port {port}")

    def heal(self) -> None:
        """Undo whatever was done to the network."""
        if self._line:
            near, relay = self._line
            relay.kill()
            relay.wait()
            self._lab.switch("ip", "link", "del", near)
            self._line = None
        self._lab.switch("ip", "link", "set", self._port, "master", "br0", "up")
        for chain in ("INPUT", "OUTPUT"):
            self.call("iptables", "-F", chain)
        self.rate(0)

    # Drives.

    def drive(self, name: str, size_bytes: int, kind: str = "ext4") -> Path:
        """A new drive, mounted on this host and nowhere else. kind: ext4, xfs (of XFS_MIN_BYTES
        at least), or tmpfs, which is empty after each boot."""
        made = Drive(self.folder, name, size_bytes, kind)
        self.drives[name] = made
        made.mount(self)
        return made.path

    def pull(self, name: str) -> None:
        """Its cable is out: who has files of it open gets EIO, the mount point is empty."""
        self.drives[name].pull(self)

    def freeze(self, name: str, frozen: bool) -> None:
        """Programs that write to it wait without an error until it is thawed, also those that are killed."""
        self.call("fsfreeze", "-f" if frozen else "-u", self.drives[name].path)

    def share(self, other: Host, name: str) -> str:
        """Mount a drive of another host here as well, at the same place, as a network file system; what it is
        called here."""
        drive = other.drives[name]
        self.call("mount", other.call("findmnt", "-no", "SOURCE", drive.path).strip(), drive.path)
        self.drives[f"{name} of {other.name}"] = drive
        return f"{name} of {other.name}"

    def reserve(self, name: str, percent: int) -> None:
        """Let this share of an ext4 drive be for root only."""
        device = self.call("findmnt", "-no", "SOURCE", self.drives[name].path).strip()
        self.call("tune2fs", "-m", percent, device)

    def push(self, name: str) -> None:
        """It is back, as it was on disk."""
        self.drives[name].mount(self)


def wait_for(seconds: float) -> None:
    """Let a fault last: the one place where time itself is what a test waits for."""
    time.sleep(seconds)
