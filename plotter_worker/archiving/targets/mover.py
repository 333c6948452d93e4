"""Moves plots to an archiving target of plotman 0.5.3: choose a folder, run the script, check the copy."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from common.config import Config
from common.errors import OrderRefused, TransferFailed
from common.model.messages import Admission, Reservation
from common.model.snapshot import TargetReport, Transfer
from common.model.targets import choose, label, no_room
from common.worker.move_step import StepInterrupted, Stop
from plotter_worker.archiving.targets import copies, rsync
from plotter_worker.archiving.targets.definition import ArchiveTarget, target_of
from plotter_worker.archiving.targets.space import SpaceUnknown, TargetSpaceMonitor
from plotter_worker.archiving.targets.transfer_script import Ended, Script
from plotter_worker.archiving.transfer.progress import TransferProgress, advanced, begun
from plotter_worker.directories.release import own_plot

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ArchiverContext:
    """What the mover takes from its archiver.

    owner: identifies processes of this archiver, across restarts. dirs: directories of finished plots.
    show: puts a transfer into the snapshot, or removes the one of a path. publish: writes the snapshot to the
    board before it returns.
    """

    host: str
    owner: str
    dirs: tuple[str, ...]
    log_dir: Path
    show: Callable[[Transfer | None, str], None]
    publish: Callable[[], None]


class Mover:
    """One target of one host; one transfer at a time, as with 0.5.3."""

    def __init__(self, target: ArchiveTarget, space: TargetSpaceMonitor, context: ArchiverContext) -> None:
        self._target = target
        self._space = space
        self._context = context
        self._one = threading.Lock()
        self._path: str | None = None  # plot that is being sent
        self._flushes = True  # until an rsync refuses --fsync
        self.name = target.name

    def start(self) -> None:
        if self._target.stripped:
            log.info(
                "target %s: %s is left out: plotman deletes the source itself, after it has checked the copy",
                self.name,
                " ".join(self._target.stripped),
            )
        self._space.start()

    def stop(self) -> None:
        self._space.stop()

    def take_from(self, dirs: tuple[str, ...]) -> None:
        """Change the directories of finished plots."""
        self._context = replace(self._context, dirs=dirs)

    @property
    def report(self) -> TargetReport:
        return self._space.report

    @property
    def problems(self) -> tuple[str, ...]:
        flushes = () if self._flushes else (rsync.UNFLUSHED.format(name=self.name),)
        return (*self._target.problems, *self._space.problems, *flushes)

    def sends(self, path: str) -> bool:
        """Whether this plot is being sent."""
        return self._path == path

    def move(
        self,
        path: str,
        size_bytes: int | None,
        report: Callable[[TransferProgress], None],
        stop: Stop,
        coming: Mapping[str, int] | None = None,
    ) -> Admission:
        """Copy a plot of this host to the target. Only the user's scripts delete the source themselves.

        Args:
            size_bytes: Expected size; None: any.
            coming: Folder -> bytes that other hosts still send there.

        Raises:
            OrderRefused: The path is no plot of this host, or a transfer runs already.
            TransferFailed: With the cause.
            SpaceUnknown: The disk space script failed.
            StepInterrupted: A foreign transfer runs, or the worker shuts down while the script keeps running.
        """
        source = own_plot(path, self._context.dirs)
        size_bytes = _size(source, size_bytes)
        if not self._one.acquire(blocking=False):
            raise OrderRefused("Another transfer to this target is running.", "It will be tried again.")
        self._path = path
        try:
            if foreign := self._space.find_running():
                # No failure: beat reads from the snapshot that it must wait for the end of that transfer.
                log.info("%s waits: %s still sends to %s", source.name, foreign, label(self.name))
                self._context.publish()
                raise StepInterrupted
            folders = [space.path for space in self._space.ask().spaces]
            copies.delete_temporary_files(self._target, folders, source.name)
            found, all_read = copies.existing_copies(self._target, folders, source.name)
            reservation = self._reserve(source, size_bytes, coming or {}, found)
            # Whether the folder has a file of the plot's name; None: unknown.
            there = reservation.drive in found or (False if all_read else None)
            return self._transfer(source, reservation, there, report, stop)
        finally:
            self._context.show(None, path)
            self._path = None
            self._one.release()

    def _reserve(
        self, source: Path, size_bytes: int, coming: Mapping[str, int], found: dict[str, int]
    ) -> Reservation:
        """Choose a folder, and publish it before the first byte is sent, so that beat counts the transfer
        before it decides about other plotters."""
        reservation = Reservation(
            host=label(self.name),
            source_host=self._context.host,
            path=str(source),
            size_bytes=size_bytes,
            drive=self._folder(size_bytes, coming, found),
        )
        self._context.show(begun(reservation), "")
        self._context.publish()
        return reservation

    def _folder(self, size_bytes: int, coming: Mapping[str, int], found: dict[str, int]) -> str:
        """Prefer a folder with a complete copy, which is then compared, since a second copy would waste
        space; then one with an incomplete copy; else 0.5.3's rule. Raises TransferFailed."""
        for folder, found_bytes in found.items():
            if found_bytes == size_bytes:
                return folder
        report = self.report
        incomplete = [space for space in report.spaces if space.path in found]
        chosen = choose(incomplete, size_bytes, 0, coming) or choose(
            report.spaces, size_bytes, self._target.index, coming
        )
        if chosen is None:
            raise TransferFailed(f"{no_room(report, size_bytes, coming)}.", "It will be tried again.")
        return chosen

    def _transfer(
        self,
        source: Path,
        reservation: Reservation,
        there: bool | None,
        report: Callable[[TransferProgress], None],
        stop: Stop,
    ) -> Admission:
        def advance(progress: TransferProgress) -> None:
            self._context.show(advanced(transfer, progress), "")
            report(progress)

        transfer = begun(reservation)
        device = copies.local_device(self._target, reservation.drive)
        ended, compared = self._run(source, reservation.drive, there, advance, stop)
        copies.check_exit(self._target, reservation.drive, ended)
        landed, verified = copies.complete_copy(self._target, source, reservation, self._listed(), device)
        if not compared and there is not False and source.exists():
            verified += copies.compare_content(self._target, source, landed, advance, stop)
        log.info(
            "%s was sent to %s in %.1f s",
            source.name,
            landed,
            ended.took_s,
            extra={"action": "sent", "host": self._context.host},
        )
        return Admission(
            reservation=reservation,
            landed=landed,
            size_bytes=reservation.size_bytes,
            verified=verified,
            took_s=ended.took_s,
        )

    def _listed(self) -> list[str]:
        """Folders of the target after a transfer. Raises SpaceUnknown if the check needs them."""
        try:
            return [space.path for space in self._space.ask().spaces]
        except SpaceUnknown:
            if self._target.ours:
                raise
            return []  # not needed for the user's scripts

    def _run(
        self,
        source: Path,
        folder: str,
        there: bool | None,
        report: Callable[[TransferProgress], None],
        stop: Stop,
    ) -> tuple[Ended, bool]:
        """Run the transfer script, again without an option that rsync refuses.

        Returns:
            How it ended, and whether an rsync of ours sent or compared all bytes.
        """
        check = rsync.COMPARE if there else rsync.SEND
        while True:
            ended, added = self._run_once(source, folder, check, report, stop)
            if check == rsync.COMPARE and rsync.refuses(ended, rsync.COMPARE):
                check = rsync.SEND
            elif check == rsync.SEND and rsync.refuses(ended, rsync.SEND):
                check = ""
            elif rsync.FLUSH in added and rsync.refuses(ended, rsync.FLUSH):
                log.warning("%s", rsync.UNFLUSHED.format(name=self.name))
                self._flushes = False
            else:
                return ended, bool(check) and check in added

    def _run_once(
        self, source: Path, folder: str, check: str, report: Callable[[TransferProgress], None], stop: Stop
    ) -> tuple[Ended, str]:
        """Run the script once. Returns how it ended, and the options that were added to the user's."""
        environment = self._target.environment(str(source), folder)
        added = rsync.added_options(self._target, check, flush=self._flushes)
        if added:
            environment["options"] = f"{added} {environment['options']}"
        script = Script(self._target.transfer, environment, self._context.log_dir, self._context.owner)
        return script.run(report, stop), added


def _size(source: Path, expected: int | None) -> int:
    try:
        size_bytes = source.stat().st_size
    except FileNotFoundError as error:
        raise OrderRefused(f"{source} no longer exists.", "It was moved already.") from error
    if expected not in (None, size_bytes):
        raise OrderRefused(f"{source} has {size_bytes} bytes, not {expected}.", "Its size is read again.")
    return size_bytes


def mover_of(
    settings: Config,
    dirs: tuple[str, ...],
    show: Callable[[Transfer | None, str], None],
    changed: Callable[[], None],
    publish: Callable[[], None],
) -> Mover | None:
    """Make the mover of plotman.yaml's target; None if harvesters take the plots. changed: called when the
    snapshot must be rebuilt. Raises OSError if the state directory cannot be written."""
    target = target_of(settings)
    if target is None:
        return None
    owner = str(settings.state_dir)
    context = ArchiverContext(
        host=settings.host,
        owner=owner,
        dirs=dirs,
        log_dir=Path(settings.logging.transfers),
        show=show,
        publish=publish,
    )
    space = TargetSpaceMonitor(target, owner, Path(settings.logging.disk_spaces), changed)
    return Mover(target, space, context)
