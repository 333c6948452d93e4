"""A target's free space: asks its disk space script at intervals and on demand, and reads the answer, a line
`PATH:BYTES` for each folder."""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from common.errors import PlotmanError
from common.model.snapshot import TargetReport, TargetSpace
from common.model.text import one_line
from plotter_worker.archiving.targets.definition import ArchiveTarget, cannot_run, last_line
from plotter_worker.archiving.targets.transfer_script import first_running, running

log = logging.getLogger(__name__)

DEADLINE_S = 15.0  # 0.5.3 allowed 5; ssh to a machine that wakes its drives takes longer
ASK_EVERY_S = 30.0
_CHECK_EVERY_S = 2.0  # of a foreign transfer: the next plot waits for its end
_ANSWER_BYTES = 1 << 20
_BYTES = re.compile(r"\d+\Z", re.ASCII)
_LOG_BYTES, _LOGS_KEPT = 10_000_000, 10  # as 0.5.3


class SpaceUnknown(PlotmanError):
    """The disk space script failed. stderr: its output there."""

    stderr: bytes = b""


@dataclass(frozen=True, slots=True)
class SpaceAnswer:
    """spaces: sorted by path. problems: a sentence for each bad line. stderr: the script's."""

    spaces: tuple[TargetSpace, ...]
    problems: tuple[str, ...]
    stderr: bytes = b""


def ask(program: Path, environment: Mapping[str, str], deadline_s: float = DEADLINE_S) -> SpaceAnswer:
    """Run a disk space script, and read its answer.

    Args:
        deadline_s: After this time the script and its children are killed.

    Raises:
        SpaceUnknown: It cannot be run, failed, or took too long.
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
        output, stderr = script.communicate(timeout=deadline_s)
    except subprocess.TimeoutExpired as error:
        # Also if the script has ended, but one of its children keeps the pipe open.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(script.pid, signal.SIGKILL)
        raise SpaceUnknown(
            f"disk space script {program} did not answer within {deadline_s:g} s.",
            "Run it by hand: a drive or a machine that it uses may hang.",
        ) from error
    finally:
        _close(script)
    if script.returncode != 0:
        raise _failed(program, script.returncode, stderr)
    spaces, problems = read(output[:_ANSWER_BYTES])
    return SpaceAnswer(spaces, problems, stderr)


def read(output: bytes) -> tuple[tuple[TargetSpace, ...], tuple[str, ...]]:
    """Parse the output: folders sorted by path, and a sentence for each bad line. A repeated folder has the
    smaller value. Paths may contain colons and blanks.
    """
    found: dict[str, int] = {}
    problems = []
    for number, line in enumerate(output.split(b"\n"), start=1):
        text = line.decode("utf-8", "backslashreplace").strip()
        path, _, size = text.rpartition(":")
        if not text:
            continue
        if not path or not _BYTES.match(size.strip()) or not _utf8(line):
            shown = one_line(text, 100)
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


def _failed(program: Path, code: int, stderr: bytes) -> SpaceUnknown:
    last = last_line(stderr)
    how = f"was killed by signal {-code}" if code < 0 else f"exits {code}"
    unknown = SpaceUnknown(
        f"disk space script {how}{f': {last}' if last else ''}.",
        f"Run it by hand with the variables of archiving.env: {program}",
    )
    unknown.stderr = stderr
    return unknown


def _close(script: subprocess.Popen[bytes]) -> None:
    if script.poll() is None:
        script.kill()
        script.wait()
    for pipe in (script.stdout, script.stderr):
        if pipe is not None:
            pipe.close()


class TargetSpaceMonitor:
    """Keeps a target's report up to date in a thread.

    owner: of transfers that earlier archivers started. script_log: file for the script's stderr.
    changed: called when the report has changed.
    """

    def __init__(
        self,
        target: ArchiveTarget,
        owner: str,
        script_log: Path,
        changed: Callable[[], None],
        deadline_s: float = DEADLINE_S,
        every_s: float = ASK_EVERY_S,
    ) -> None:
        self._target = target
        self._owner = owner
        self._changed = changed
        self._deadline_s = deadline_s
        self._every_s = every_s
        self._script_log = _script_log(script_log)
        self._asking = threading.Lock()
        self._report = TargetReport(name=target.name, place=target.place)
        self._bad_lines: tuple[str, ...] = ()
        self._foreign: list[psutil.Process] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"target {target.name}", daemon=True)

    @property
    def report(self) -> TargetReport:
        """As of the last answer."""
        return self._report

    @property
    def problems(self) -> tuple[str, ...]:
        """What the operator should correct."""
        trouble = self._report.trouble
        return (
            *(f"Target {self._target.name}: {text}" for text in self._bad_lines),
            *filter(None, [trouble]),
        )

    def start(self) -> None:
        """Find running transfers, so that the first report has them, and start the thread."""
        self.find_running()
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()

    def find_running(self) -> str | None:
        """Find a foreign transfer to this target, as text for operators; None if there is none."""
        self._foreign = running(self._target.process_name, self._target.argument_prefix, self._owner)
        return self._check_running()

    def ask(self) -> SpaceAnswer:
        """Run the script in the caller's thread. Raises SpaceUnknown."""
        with self._asking:
            try:
                answer = ask(self._target.space, self._target.environment(), self._deadline_s)
            except SpaceUnknown as error:
                self._log_stderr(error.stderr)
                trouble = f"target {self._target.name}: {error}"
                if trouble != self._report.trouble:
                    log.warning("%s", trouble, extra={"action": "target-space-unknown"})
                self._put(spaces=(), trouble=trouble)
                raise
            self._log_stderr(answer.stderr)
            for line in set(answer.problems) - set(self._bad_lines):
                log.warning("target %s: %s", self._target.name, line)
            self._bad_lines = answer.problems
            self._put(spaces=answer.spaces, trouble=None, asked_at=datetime.now(UTC))
            return answer

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.ask()
            except SpaceUnknown:
                pass  # the report has it
            except Exception:
                log.exception("free space of target %s cannot be read", self._target.name)
            self.find_running()
            rest_s = self._every_s
            while self._foreign and rest_s > 0 and not self._stopping.wait(_CHECK_EVERY_S):
                rest_s -= _CHECK_EVERY_S
                self._check_running()
            self._stopping.wait(max(rest_s, 0.1))

    def _check_running(self) -> str | None:
        elsewhere = first_running(self._foreign)
        if elsewhere is None:
            self._foreign = []
        if elsewhere != self._report.elsewhere:
            self._put(elsewhere=elsewhere)
        return elsewhere

    def _put(self, **changes: object) -> None:
        before = self._report
        self._report = before.model_copy(update=changes)
        if self._report != before:
            self._changed()

    def _log_stderr(self, stderr: bytes) -> None:
        for line in stderr.decode("utf-8", "replace").splitlines():
            self._script_log.info("%s: %s", self._target.name, line)


def _script_log(file: Path) -> logging.Logger:
    """Open the file of logging.disk_spaces, which takes the script's stderr."""
    written = logging.Logger("disk_spaces")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.handlers.RotatingFileHandler(
            file, maxBytes=_LOG_BYTES, backupCount=_LOGS_KEPT, delay=True, encoding="utf-8"
        )
    except OSError as error:
        log.warning("%s cannot be written (%s): correct logging.disk_spaces", file, error.strerror)
        return written
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    written.addHandler(handler)
    return written
