"""The lab itself: what it promises to the tests that stand on it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.drives import XFS_MIN_BYTES
from tests.support.lab import Host, Lab
from tests.support.waiting import eventually

_CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 7), timeout=1)
except TimeoutError:
    print("no answer")
except ConnectionRefusedError:
    print("refused")
except OSError as error:
    print(error.strerror)
"""


def reach(one: Host, other: Host) -> str:
    """What a host finds where nobody listens: a host that is there refuses."""
    return one.call("python3", "-c", _CONNECT, other.address).strip()


def test_hosts_have_their_own_name_processes_network_and_drives(lab: Lab) -> None:
    one, other = lab.host("one"), lab.host("other")
    assert one.call("hostname").strip() == "one"
    assert one.call("ps", "-o", "pid=", "-p", "1").strip() == "1"
    assert reach(one, other) == "refused", "they reach each other"
    drive = one.drive("d1", 16_000_000)
    (one.seen(drive) / "file").touch()
    assert not (other.seen(drive) / "file").exists()
    assert not (drive / "file").exists()


def test_a_cut_ends_when_it_is_healed(lab: Lab) -> None:
    one, other = lab.host("one"), lab.host("other")
    other.silence()
    assert reach(one, other) != "refused"
    other.heal()
    eventually(lambda: reach(one, other) == "refused", "they reach each other again", 5)
    other.unplug()
    assert reach(one, other) != "refused"
    other.heal()
    eventually(lambda: reach(one, other) == "refused", "they reach each other again", 5)


@pytest.mark.parametrize(("kind", "size_bytes"), [("ext4", 16_000_000), ("xfs", XFS_MIN_BYTES)])
def test_a_power_cut_takes_what_was_not_on_disk_and_a_new_boot_has_a_new_id(
    lab: Lab, kind: str, size_bytes: int
) -> None:
    host = lab.host("one")
    drive = host.drive("d1", size_bytes, kind)
    pid = host.spawn("sleep", "1000", log=lab.folder / "sleep.log")
    kept, lost = host.seen(drive) / "kept", host.seen(drive) / "lost"
    kept.write_bytes(b"1" * 100_000)
    for path in (kept, kept.parent):
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
    lost.write_bytes(b"2" * 100_000)
    boot_id = host.call("cat", "/proc/sys/kernel/random/boot_id")
    host.crash()
    assert not Path(f"/proc/{pid}").exists()
    host.on()
    assert (host.seen(drive) / "kept").read_bytes() == b"1" * 100_000
    assert not (host.seen(drive) / "lost").exists() or not (host.seen(drive) / "lost").stat().st_blocks
    assert host.call("cat", "/proc/sys/kernel/random/boot_id") != boot_id


def test_who_has_a_file_open_on_a_drive_that_is_pulled_gets_an_error(lab: Lab) -> None:
    host = lab.host("one")
    drive = host.drive("d1", 16_000_000)
    with (host.seen(drive) / "file").open("wb", buffering=0) as file:
        file.write(b"1")
        host.pull("d1")
        with pytest.raises(OSError, match="Input/output error"):
            file.write(b"2")
    assert not list(host.seen(drive).iterdir())
    host.push("d1")
    assert (host.seen(drive) / "lost+found").exists()


def test_nothing_of_a_lab_is_left_when_it_is_closed(lab: Lab) -> None:
    host = lab.host("one")
    host.drive("d1", 16_000_000)
    pid = host.spawn("sleep", "1000", log=lab.folder / "sleep.log")
    lab.close()
    assert not Path(f"/proc/{pid}").exists()

    def loops() -> list[str]:
        found = []
        for path in Path("/sys/block").glob("loop*/loop/backing_file"):
            with suppress(OSError):  # another lab has just let it go
                found.append(path.read_text())
        return [text for text in found if str(lab.folder) in text]

    eventually(lambda: not loops(), "its loop devices are free")
