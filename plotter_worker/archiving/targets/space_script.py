"""Asks a target's disk space script, and reads its answer: `PATH:BYTES`, a line for each folder."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from common.errors import PlotmanError
from common.model.snapshot import TargetSpace
from plotter_worker.archiving.targets.programs import cannot_run, last_line

DEADLINE_S = 15.0  # 0.5.3 gave it 5; an ssh to a machine that wakes its drives takes longer
_ANSWER_BYTES = 1 << 20
_BYTES = re.compile(r"\d+\Z", re.ASCII)


class SpaceUnknown(PlotmanError):
    """The disk space script did not tell. `complaint`: what it wrote to stderr."""

    complaint: bytes = b""


@dataclass(frozen=True, slots=True)
class SpaceAnswer:
    """spaces: by path. problems: lines that are no PATH:BYTES, a sentence for people.
    complaint: what the script wrote to stderr."""

    spaces: tuple[TargetSpace, ...]
    problems: tuple[str, ...]
    complaint: bytes = b""


def ask(program: Path, environment: Mapping[str, str], deadline_s: float = DEADLINE_S) -> SpaceAnswer:
    """Run the script to its end, at most `deadline_s` seconds, and read what it prints.

    Raises SpaceUnknown where it cannot be run, fails, or takes too long; with it end all its children.
    """
    try:
        script = subprocess.Popen(
            [program],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
            start_new_session=True,
        )
    except OSError as error:
        what, cure = cannot_run(program, error)
        raise SpaceUnknown(f"disk space script {what}.", cure) from error
    try:
        output, complaint = script.communicate(timeout=deadline_s)
    except subprocess.TimeoutExpired as error:
        # Also where the script itself has ended, but something that it started holds on to its output.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(script.pid, signal.SIGKILL)
        raise SpaceUnknown(
            f"disk space script {program} did not answer within {deadline_s:g} s.",
            "Run it by hand: a drive or a machine that it asks may hang.",
        ) from error
    finally:
        _close(script)
    if script.returncode != 0:
        raise _failed(program, script.returncode, complaint)
    spaces, problems = read(output[:_ANSWER_BYTES])
    return SpaceAnswer(spaces, problems, complaint)


def read(output: bytes) -> tuple[tuple[TargetSpace, ...], tuple[str, ...]]:
    """The folders, by path, and a sentence for each line that names none. A folder that is named twice has
    the smaller of both. Paths may hold colons and blanks.
    """
    found: dict[str, int] = {}
    problems = []
    for number, line in enumerate(output.split(b"\n"), start=1):
        text = line.decode("utf-8", "backslashreplace").strip()
        path, _, size = text.rpartition(":")
        if not text:
            continue
        if not path or not _BYTES.match(size.strip()) or not _utf8(line):
            shown = text[:100].encode("unicode_escape").decode()
            problems.append(f"line {number} of the disk space script is not PATH:BYTES: {shown}")
            continue
        found[path] = min(int(size), found.get(path, int(size)))
    return tuple(TargetSpace(path=path, free_bytes=found[path]) for path in sorted(found)), tuple(problems)


def _utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _failed(program: Path, code: int, complaint: bytes) -> SpaceUnknown:
    said = last_line(complaint)
    how = f"was killed by signal {-code}" if code < 0 else f"exits {code}"
    unknown = SpaceUnknown(
        f"disk space script {how}{f': {said}' if said else ''}.",
        f"Run it by hand with the variables of archiving.env: {program}",
    )
    unknown.complaint = complaint
    return unknown


def _close(script: subprocess.Popen[bytes]) -> None:
    if script.poll() is None:
        script.kill()
        script.wait()
    for pipe in (script.stdout, script.stderr):
        if pipe is not None:
            pipe.close()
