"""What the mount table says of a path."""

from __future__ import annotations

import os
from pathlib import Path, PurePath

import pytest

from common.system.mounts import Mounts, is_mounted

TABLE = """\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
40 27 8:1 / /mnt/hdd1 rw shared:5 - xfs /dev/sda1 rw
41 27 8:17 / /mnt/my\\040drive rw - ext4 /dev/sdb1 rw
42 27 254:0 /var/plots /bound rw - ext4 /dev/vda rw
43 27 0:50 / /auto/hdd2 rw - autofs systemd-1 rw
44 27 0:51 / /auto/hdd3 rw - autofs systemd-1 rw
45 44 8:33 / /auto/hdd3 rw - ext4 /dev/sdc1 rw
"""


@pytest.mark.parametrize(
    ("path", "point"),
    [
        ("/mnt/hdd1", "/mnt/hdd1"),
        ("/mnt/hdd1/plots", "/mnt/hdd1"),
        ("/mnt/hdd10", "/"),
        ("/mnt/my drive", "/mnt/my drive"),
        ("/bound", "/bound"),
        ("/auto/hdd2", None),
        ("/auto/hdd3", "/auto/hdd3"),
    ],
)
def test_the_nearest_mount_point_counts(path: str, point: str | None) -> None:
    assert Mounts.parse(TABLE).over(PurePath(path)) == point


def test_proc_is_mounted_and_the_root_directory_does_not_count() -> None:
    assert is_mounted("/proc")
    assert not is_mounted("/")


def test_a_link_is_followed_to_where_it_leads(tmp_path: Path) -> None:
    link = tmp_path / "drive"
    link.symlink_to("/proc")

    assert is_mounted(link)


def test_the_device_alone_tells_of_a_file_system_that_is_mounted_somewhere_other_than_at_the_root() -> None:
    # Not the root's own, though it is bound elsewhere, nor a place that autofs has yet to fill.
    assert Mounts.parse(TABLE).apart == {os.makedev(8, 1), os.makedev(8, 17), os.makedev(8, 33)}


def test_a_device_that_is_not_the_mount_tables_leaves_it_to_the_name(tmp_path: Path) -> None:
    root = "27 1 254:0 / / rw - ext4 /dev/vda rw\n"
    table = Mounts.parse(f"{root}40 27 0:60 / {tmp_path} rw - btrfs /dev/sda rw\n")

    assert is_mounted(tmp_path / "subvolume", os.makedev(0, 77), lambda: table)
    assert not is_mounted(tmp_path.parent / "folder", os.makedev(254, 0), lambda: table)


def test_the_devices_of_the_real_table_are_those_that_stat_tells() -> None:
    assert is_mounted("/proc", Path("/proc").stat().st_dev)
    assert Mounts.now().devices[Path("/proc").stat().st_dev] == "proc"
    assert Path("/").stat().st_dev not in Mounts.now().apart
