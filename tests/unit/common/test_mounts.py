"""What the mount table says of a path."""

from __future__ import annotations

from pathlib import Path, PurePath

import pytest

from common.mounts import is_mounted, mount_over

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
    assert mount_over(PurePath(path), TABLE) == point


def test_proc_is_mounted_and_the_root_directory_does_not_count() -> None:
    assert is_mounted("/proc")
    assert not is_mounted("/")


def test_a_link_is_followed_to_where_it_leads(tmp_path: Path) -> None:
    link = tmp_path / "drive"
    link.symlink_to("/proc")

    assert is_mounted(link)
