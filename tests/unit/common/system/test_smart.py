"""Which disks lie below a file system, and what they say of themselves."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from common.model.snapshot import DiskHealth
from common.system import smart
from common.system.smart import ask, disks_below, worst

# As smartctl 7.3 prints it for a SATA disk, cut to what matters.
SATA: dict[str, Any] = {
    "json_format_version": [1, 0],
    "smartctl": {"version": [7, 3], "exit_status": 0},
    "device": {"name": "/dev/sda", "type": "sat", "protocol": "ATA"},
    "model_name": "MAKER ABC18000",
    "smart_status": {"passed": True},
    "power_on_time": {"hours": 21914},
    "temperature": {"current": 38},
}


class Disks:
    """A folder like /sys with disks and what is made of them, and a smartctl that answers for the disks."""

    def __init__(self, folder: Path) -> None:
        self.sys = folder / "sys"
        (self.sys / "dev" / "block").mkdir(parents=True)
        self.answers = folder / "answers"
        self.answers.mkdir()
        self.program = folder / "smartctl"
        # Its last argument names the disk.
        self.program.write_text(
            f'#!/bin/sh\nfor last; do :; done\ncat {shlex.quote(str(self.answers))}/"${{last##*/}}"\nexit 4\n'
        )
        self.program.chmod(0o755)

    def block(self, name: str, device: str, of: str | None = None, slaves: tuple[str, ...] = ()) -> None:
        """of: the disk of which it is a partition."""
        folder = self.sys / "devices" / (of or "") / name
        folder.mkdir(parents=True)
        if of:
            (folder / "partition").write_text("1\n")
        for slave in slaves:
            (folder / "slaves").mkdir(exist_ok=True)
            (target,) = (self.sys / "devices").rglob(slave)
            (folder / "slaves" / slave).symlink_to(target)
        (self.sys / "dev" / "block" / device).symlink_to(folder)

    def says(self, name: str, answer: object) -> None:
        (self.answers / name).write_text(answer if isinstance(answer, str) else json.dumps(answer))

    def health(self, *names: str) -> DiskHealth | None:
        answers = [ask(str(self.program), name, 10) for name in names]
        return worst([answer for answer in answers if answer is not None])


@pytest.fixture
def disks(tmp_path: Path) -> Disks:
    made = Disks(tmp_path)
    made.block("sda", "8:0")
    made.block("sda1", "8:1", of="sda")
    made.block("sdb", "8:16")
    made.block("md0", "9:0", slaves=("sda1", "sdb"))
    made.block("dm-0", "253:0", slaves=("md0",))
    return made


@pytest.mark.parametrize(
    ("device", "below"),
    [
        ("8:0", ("sda",)),
        ("8:1", ("sda",)),
        ("9:0", ("sda", "sdb")),
        ("253:0", ("sda", "sdb")),
        ("0:41", ()),
    ],
    ids=["disk", "partition", "raid", "volume", "no-device"],
)
def test_a_file_system_lies_on_the_disks_of_which_its_device_is_made(
    disks: Disks, device: str, below: tuple[str, ...]
) -> None:
    assert disks_below(device, disks.sys) == below


def test_what_is_made_of_itself_ends(disks: Disks) -> None:
    disks.block("dm-1", "253:1")
    loop = disks.sys / "devices" / "dm-1" / "slaves"
    loop.mkdir()
    (loop / "dm-1").symlink_to(disks.sys / "devices" / "dm-1")
    assert disks_below("253:1", disks.sys) == ("dm-1",)


def test_a_disk_tells_model_health_temperature_and_age_although_its_log_has_an_error(disks: Disks) -> None:
    disks.says("sda", SATA)
    assert disks.health("sda") == DiskHealth(
        names=("sda",), model="MAKER ABC18000", fails=False, temperature_c=38, powered_on_h=21914
    )


def test_of_several_disks_the_worst_counts(disks: Disks) -> None:
    disks.says("sda", SATA)
    disks.says("sdb", SATA | {"smart_status": {"passed": False}, "temperature": {"current": 51}})
    found = disks.health("sda", "sdb")
    assert found is not None
    assert (found.names, found.fails, found.temperature_c) == (("sda", "sdb"), True, 51)
    assert found.model == "MAKER ABC18000"


@pytest.mark.parametrize(
    "odd",
    [{"temperature": {"current": 255}}, {"power_on_time": {"hours": -1}}, {"model_name": 5}],
    ids=["hot", "young", "nameless"],
)
def test_a_figure_that_no_disk_has_hides_no_failure(disks: Disks, odd: dict[str, Any]) -> None:
    disks.says("sda", SATA | {"smart_status": {"passed": False}} | odd)
    found = disks.health("sda")
    assert found is not None
    assert found.fails is True


def test_a_disk_without_a_verdict_is_neither_well_nor_failing(disks: Disks) -> None:
    disks.says("sda", {"temperature": {"current": 30}})
    found = disks.health("sda")
    assert found is not None
    assert found.fails is None


@pytest.mark.parametrize(
    "answer",
    [
        '{"smartctl": {"messages": [{"string": "Device is in STANDBY mode, exit(2)"}], "exit_status": 2}}',
        '{"model_name": "QEMU HARDDISK"}',
        "",
        "smartctl 6.6: no JSON",
        "[]",
        '{"temperature": {"current": "38"}}',
        '{"temperature": {"current": 4000}}',
    ],
    ids=["asleep", "virtual", "nothing", "old", "list", "text", "hot"],
)
def test_a_disk_that_tells_nothing_is_not_known(disks: Disks, answer: str) -> None:
    disks.says("sda", answer)
    assert disks.health("sda") is None


def test_an_answer_without_end_is_cut(disks: Disks) -> None:
    disks.program.write_text("#!/bin/sh\nexec cat /dev/zero\n")
    assert len(smart._output([str(disks.program)], 30)) < 2 << 20
    assert disks.health("sda") is None


def test_one_that_does_not_answer_in_time_and_a_missing_program_are_not_known(disks: Disks) -> None:
    disks.program.write_text("#!/bin/sh\nexec sleep 60\n")
    assert ask(str(disks.program), "sda", 0.2) is None
    assert ask("/nowhere/smartctl", "sda", 10) is None
