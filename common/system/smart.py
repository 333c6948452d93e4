"""Asks disks for their health by smartctl of smartmontools (https://www.smartmontools.org), which prints JSON
from version 7.0 on."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from common.model.snapshot import DiskHealth
from common.model.text import one_line

# `-n standby`: a disk that sleeps is not woken, and answers nothing. -i: model, -H: health, -A: attributes.
_OPTIONS = ("--json=c", "-n", "standby", "-i", "-H", "-A")
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # missing from many users' PATH
_MODEL_MOST = 60  # characters
_DEEPEST = 5  # partition on LVM on LUKS on RAID
_MOST_DISKS = 32  # below one drive


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True)


class _Status(_Part):
    passed: bool


class _Temperature(_Part):
    current: int = Field(ge=-100, le=200)


class _PoweredOn(_Part):
    hours: int = Field(ge=0, le=10_000_000)


class _Answer(_Part):
    model_name: str | None = None
    smart_status: _Status | None = None
    temperature: _Temperature | None = None
    power_on_time: _PoweredOn | None = None


def smartctl() -> str | None:
    """The path of the program; None if it is not installed."""
    return shutil.which("smartctl", path=os.pathsep.join((os.environ.get("PATH", ""), *_SBIN)))


def disks_below(device: str, sys: Path = Path("/sys")) -> tuple[str, ...]:
    """Names of the disks on which a file system lies; none if they are not known: btrfs and ZFS have devices
    of their own.

    Args:
        device: "major:minor" of the file system.
        sys: Laid out as in sysfs(5): a partition is a folder of its disk, and what is made of other devices
            names them in `slaves`.
    """
    start = sys / "dev" / "block" / device
    return tuple(sorted(_disks(start.resolve(), _DEEPEST)))[:_MOST_DISKS] if start.exists() else ()


def _disks(block: Path, depth: int) -> set[str]:
    if (block / "partition").exists():
        block = block.parent
    below = sorted((block / "slaves").glob("*"))
    if not below or not depth:
        return {block.name}
    return {name for each in below for name in _disks(each.resolve(), depth - 1)}


def health(program: str, names: Iterable[str], deadline_s: float) -> DiskHealth | None:
    """Ask disks. None if none answers: they sleep, are virtual, or this user may not ask.

    Args:
        program: Path of smartctl.
        names: Of the disks, below /dev.
        deadline_s: For each, in seconds.
    """
    asked = {name: _ask(program, name, deadline_s) for name in names}
    answers = {name: answer for name, answer in asked.items() if answer is not None}
    if not answers:
        return None
    states = [answer.smart_status for answer in answers.values() if answer.smart_status]
    models = sorted({one_line(answer.model_name) for answer in answers.values() if answer.model_name})
    return DiskHealth(
        names=tuple(answers),
        model=", ".join(models)[:_MODEL_MOST] or None,
        fails=any(not state.passed for state in states) if states else None,
        temperature_c=max((a.temperature.current for a in answers.values() if a.temperature), default=None),
        powered_on_h=max((a.power_on_time.hours for a in answers.values() if a.power_on_time), default=None),
    )


def _ask(program: str, name: str, deadline_s: float) -> _Answer | None:
    """None if the disk tells nothing about itself. smartctl's exit status is no help: a bit of it is set for
    each error in the disk's past, smartctl(8)."""
    command = (program, *_OPTIONS, f"/dev/{name}")
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=deadline_s,
            check=False,
        )
        answer = _Answer.model_validate_json(done.stdout)
    except (OSError, subprocess.SubprocessError, ValidationError):
        return None
    return answer if answer.smart_status or answer.temperature or answer.power_on_time else None
