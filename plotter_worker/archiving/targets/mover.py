"""Moves a plot to an archiving target of plotman 0.5.3: choose a folder, run the script, judge the copy."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from common.errors import OrderRefused, TransferFailed
from common.model.messages import Admission, Reservation
from common.model.snapshot import TargetReport, Transfer
from common.model.targets import choose, label, no_room
from common.worker.move_step import StepInterrupted, Stop
from plotter_worker.archiving.targets import copies as judging
from plotter_worker.archiving.targets.copies import There
from plotter_worker.archiving.targets.definition import ArchiveTarget
from plotter_worker.archiving.targets.space_monitor import TargetSpaceMonitor
from plotter_worker.archiving.targets.space_script import SpaceUnknown
from plotter_worker.archiving.targets.transfer_script import Ended, Script
from plotter_worker.archiving.transfer.progress import TransferProgress
from plotter_worker.archiving.transfer.snapshot import beginning, going
from plotter_worker.directories.release import own_plot

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the mover needs of its archiver.

    dirs: folders of this host's finished plots. show: puts a transfer into the snapshot, or takes that of a
    path out. publish: has the snapshot on the board when it returns.
    """

    host: str
    owner: str
    dirs: tuple[str, ...]
    log_dir: Path
    show: Callable[[Transfer | None, str], None]
    publish: Callable[[], None]


class Mover:
    """One target of one host; one transfer at a time, as with 0.5.3."""

    def __init__(self, target: ArchiveTarget, asking: TargetSpaceMonitor, around: Surroundings) -> None:
        self._target = target
        self._asking = asking
        self._around = around
        self._one = threading.Lock()
        self._path: str | None = None  # of the plot that is being sent
        self._flushes = True  # until an rsync says that it does not know --fsync
        self.name = target.name

    def start(self) -> None:
        if self._target.stripped:
            log.info(
                "target %s: %s is left out: plotman deletes the source itself, once the copy is known to be "
                "whole and the same",
                self.name,
                " ".join(self._target.stripped),
            )
        self._asking.start()

    def stop(self) -> None:
        self._asking.stop()

    def follow(self, dirs: tuple[str, ...]) -> None:
        """Take plots from these folders from now on."""
        self._around = replace(self._around, dirs=dirs)

    @property
    def report(self) -> TargetReport:
        return self._asking.report

    @property
    def problems(self) -> tuple[str, ...]:
        flushes = () if self._flushes else (judging.UNFLUSHED.format(name=self.name),)
        return (*self._target.problems, *self._asking.problems, *flushes)

    def sends(self, path: str) -> bool:
        """Whether this plot is being sent now."""
        return self._path == path

    def move(
        self,
        path: str,
        size_bytes: int | None,
        tell: Callable[[TransferProgress], None],
        stop: Stop,
        coming: Mapping[str, int] | None = None,
    ) -> Admission:
        """Copy a plot of this host to the target. The source is not touched here, only by scripts that
        delete it themselves.

        size_bytes: that it should have; None: any. coming: folder -> bytes that others still send there.
        Raises OrderRefused for what is no plot of this host, TransferFailed and SpaceUnknown with the cause,
        LetGo when this worker leaves (the script goes on) and while another transfer runs.
        """
        source = own_plot(path, self._around.dirs)
        size_bytes = _size(source, size_bytes)
        if not self._one.acquire(blocking=False):
            raise OrderRefused("A transfer to this target runs already.", "It will be tried again.")
        self._path = path
        try:
            if elsewhere := self._asking.look():
                # No failure: beat waits for its end as soon as it stands on the board.
                log.info("%s waits: %s still sends to %s", source.name, elsewhere, label(self.name))
                self._around.publish()
                raise StepInterrupted
            folders = [space.path for space in self._asking.now().spaces]
            judging.sweep(self._target, folders, source.name)
            copies, seen_all = judging.copies(self._target, folders, source.name)
            reservation = self._claim(source, size_bytes, coming or {}, copies)
            there = There.NO if seen_all else There.UNKNOWN
            if reservation.drive in copies:
                there = There.YES
            return self._transfer(source, reservation, there, tell, stop)
        finally:
            self._around.show(None, path)
            self._path = None
            self._one.release()

    def _claim(
        self, source: Path, size_bytes: int, coming: Mapping[str, int], copies: dict[str, int]
    ) -> Reservation:
        """Choose a folder, and have everybody know before a byte is sent: beat sends no other plotter to this
        place until it does."""
        reservation = Reservation(
            host=label(self.name),
            source_host=self._around.host,
            path=str(source),
            size_bytes=size_bytes,
            drive=self._folder(size_bytes, coming, copies),
        )
        self._around.show(beginning(reservation), "")
        self._around.publish()
        return reservation

    def _folder(self, size_bytes: int, coming: Mapping[str, int], copies: dict[str, int]) -> str:
        """Where a whole copy lies already it goes again, to be compared: one plot on two drives is none the
        more. Then 0.5.3's rule. Raises TransferFailed."""
        for folder, found_bytes in copies.items():
            if found_bytes == size_bytes:
                return folder
        report = self.report
        begun = [space for space in report.spaces if space.path in copies]
        chosen = choose(begun, size_bytes, 0, coming) or choose(
            report.spaces, size_bytes, self._target.index, coming
        )
        if chosen is None:
            raise TransferFailed(f"{no_room(report, size_bytes, coming)}.", "It will be tried again.")
        return chosen

    def _transfer(
        self,
        source: Path,
        reservation: Reservation,
        there: There,
        tell: Callable[[TransferProgress], None],
        stop: Stop,
    ) -> Admission:
        def told(progress: TransferProgress) -> None:
            self._around.show(going(begun, progress), "")
            tell(progress)

        begun = beginning(reservation)
        device = judging.device(self._target, reservation.drive)
        ended, compared = self._run(source, reservation.drive, there, told, stop)
        judging.exit_status(self._target, reservation.drive, ended)
        landed, verified = judging.whole_copy(self._target, source, reservation, self._listed(), device)
        if not compared and there is not There.NO and source.exists():
            verified += judging.same_content(self._target, source, landed, told, stop)
        log.info(
            "%s was sent to %s in %.1f s",
            source.name,
            landed,
            ended.took_s,
            extra={"action": "sent", "host": self._around.host},
        )
        return Admission(
            reservation=reservation,
            landed=landed,
            size_bytes=reservation.size_bytes,
            verified=verified,
            took_s=ended.took_s,
        )

    def _listed(self) -> list[str]:
        """Folders of the target after a transfer. Raises SpaceUnknown where they matter."""
        try:
            return [space.path for space in self._asking.now().spaces]
        except SpaceUnknown:
            if self._target.ours:
                raise
            return []  # the user's scripts are judged without

    def _run(
        self, source: Path, folder: str, there: There, tell: Callable[[TransferProgress], None], stop: Stop
    ) -> tuple[Ended, bool]:
        """Run the transfer script. How it ended, and whether an rsync of ours sent or compared all bytes."""
        look = judging.COMPARE if there is There.YES else judging.SEND
        while True:
            ended, given = self._try(source, folder, look, tell, stop)
            if look == judging.COMPARE and judging.refuses(ended, judging.COMPARE):
                look = judging.SEND
            elif look == judging.SEND and judging.refuses(ended, judging.SEND):
                look = ""
            elif "--fsync" in given and judging.refuses(ended, "--fsync"):
                log.warning("%s", judging.UNFLUSHED.format(name=self.name))
                self._flushes = False
            else:
                return ended, bool(look) and look in given

    def _try(
        self, source: Path, folder: str, look: str, tell: Callable[[TransferProgress], None], stop: Stop
    ) -> tuple[Ended, str]:
        """One run, and the options that it was given beside the user's."""
        environment = self._target.environment(str(source), folder)
        extra = judging.options(self._target, look, flush=self._flushes)
        if extra:
            environment["options"] = f"{extra} {environment['options']}"
        script = Script(self._target.transfer, environment, self._around.log_dir, self._around.owner)
        return script.run(tell, stop), extra


def _size(source: Path, expected: int | None) -> int:
    try:
        size_bytes = source.stat().st_size
    except FileNotFoundError as error:
        raise OrderRefused(f"{source} is gone.", "Somebody moved it already.") from error
    if expected not in (None, size_bytes):
        raise OrderRefused(f"{source} has {size_bytes} bytes, not {expected}.", "It is looked at anew.")
    return size_bytes
