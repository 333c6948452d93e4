"""Asks disks for their health by smartctl of smartmontools (https://www.smartmontools.org), which prints JSON
from version 7.0 on."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from common.model.snapshot import DiskHealth
from common.model.text import one_line

# `-n standby`: a disk that sleeps is not woken, and answers nothing. -i: model, -H: health, -A: attributes.
_OPTIONS = ("--json=c", "-n", "standby", "-i", "-H", "-A")
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # missing from many users' PATH
_LONGEST_BYTES = 1 << 20  # of an answer, which has some kB
_MODEL_MOST = 60  # characters
_DEEPEST = 5  # partition on LVM on LUKS on RAID
_MOST_DISKS = 32  # below one drive


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True)


P = TypeVar("P", bound=_Part)


def _or_none(value: Any, parse: ValidatorFunctionWrapHandler) -> Any:
    try:
        return parse(value)
    except ValidationError:
        return None


# A figure that no disk has, as some USB bridges tell, must not hide the others.
Known = Annotated[P | None, WrapValidator(_or_none)]


class _Status(_Part):
    passed: bool


class _Temperature(_Part):
    current: int = Field(ge=-100, le=200)


class _PoweredOn(_Part):
    hours: int = Field(ge=0, le=10_000_000)


class _Answer(_Part):
    model_name: Annotated[str | None, WrapValidator(_or_none)] = None
    smart_status: Known[_Status] = None
    temperature: Known[_Temperature] = None
    power_on_time: Known[_PoweredOn] = None


def smartctl() -> str | None:
    """The path of the program; None if it is not installed."""
    return shutil.which("smartctl", path=os.pathsep.join((*_SBIN, os.environ.get("PATH", ""))))


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


def ask(program: str, name: str, deadline_s: float) -> DiskHealth | None:
    """Ask a disk. None if it tells nothing: it sleeps, is virtual, or this user may not ask.

    smartctl's exit status is no help: a bit of it is set for each error in the disk's past, smartctl(8).

    Args:
        program: Path of smartctl.
        name: Of the disk, below /dev.
        deadline_s: For the answer, in seconds. A program that the kernel does not end then is left alone.
    """
    command = (program, *_OPTIONS, f"/dev/{name.replace('!', '/')}")  # "!" stands for it in sysfs
    try:
        answer = _Answer.model_validate_json(_output(command, deadline_s))
    except (OSError, ValidationError):
        return None
    if not (answer.smart_status or answer.temperature or answer.power_on_time):
        return None
    return DiskHealth(
        names=(name,),
        model=one_line(answer.model_name)[:_MODEL_MOST] if answer.model_name else None,
        fails=None if answer.smart_status is None else not answer.smart_status.passed,
        temperature_c=answer.temperature and answer.temperature.current,
        powered_on_h=answer.power_on_time and answer.power_on_time.hours,
    )


def _output(command: Sequence[str], deadline_s: float) -> bytes:
    """What the program prints until the deadline, _LONGEST_BYTES at most. Raises OSError."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    until_s, output = time.monotonic() + deadline_s, b""
    try:
        while len(output) < _LONGEST_BYTES:
            left_s = max(0.0, until_s - time.monotonic())
            if not select.select([process.stdout], [], [], left_s)[0]:
                break
            if not (piece := os.read(process.stdout.fileno(), 65_536)):
                break
            output += piece
    finally:
        process.stdout.close()
        process.kill()  # not waited for: the kernel may not end what asks a dying disk
    return output


def worst(disks: Sequence[DiskHealth]) -> DiskHealth | None:
    """What several disks tell, as one; None for none."""
    if not disks:
        return None
    states = [disk.fails for disk in disks if disk.fails is not None]
    models = sorted({disk.model for disk in disks if disk.model})
    return DiskHealth(
        names=tuple(name for disk in disks for name in disk.names),
        model=", ".join(models)[:_MODEL_MOST] or None,
        fails=any(states) if states else None,
        temperature_c=max((d.temperature_c for d in disks if d.temperature_c is not None), default=None),
        powered_on_h=max((d.powered_on_h for d in disks if d.powered_on_h is not None), default=None),
    )
