"""Takes a plot in: checks it, gives it its farmed name, answers when that would outlive a power cut."""

from __future__ import annotations

import logging
import os
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from common.errors import DriveFailed, OrderRefused, PlotRefused, TransferFailed
from common.model.messages import Admission, Delivery, Reservation
from common.model.plot_name import PlotName
from common.model.snapshot import DirState, DriveUse
from common.system import machine
from common.system.durable import make_durable
from common.system.openfile import is_open_for_writing
from common.system.plotfile import Header
from common.system.probe import Probe, look
from common.worker.digests import known
from common.worker.move_step import Doing, Stop, never
from harvester_worker.drives import digests, part_files
from harvester_worker.drives.digests import DigestEntry
from harvester_worker.drives.disk import forget_cached, rename_new
from harvester_worker.drives.existing_plots import landed_at, other_file
from harvester_worker.drives.plot_index import PlotIndex
from harvester_worker.drives.readback import compare, deadline_s
from harvester_worker.drives.registry import DriveRegistry
from harvester_worker.intake.resume import arrived
from harvester_worker.intake.verify import check_header, prove

log = logging.getLogger(__name__)

# rsync has flushed the part already; what is left is quick even on a slow drive.
FLUSH_S = 1800.0


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A plot to take in: `file` is its part, or the file that has its name on the drive already."""

    reservation: Reservation
    name: PlotName
    drive: str
    file: Path

    @property
    def final(self) -> Path:
        return Path(self.drive) / self.name.name

    @property
    def landed(self) -> bool:
        return self.file == self.final


@dataclass(frozen=True, slots=True)
class _Looked:
    """entry: describes the file as it was before its checks, with the source's digest where that is known."""

    header: Header
    entry: DigestEntry


class Admitter:
    """Checks may take minutes, so that they have threads of their own: looks at the drive go on meanwhile.

    challenges: for the proofs; 0 for none. python: interpreter that may have chiapos. read_back: read every
    plot as a whole, not only those whose bytes came in more than one run. Both may be changed at any time.
    """

    def __init__(
        self,
        drives: DriveRegistry,
        work: Probe,
        challenges: int,
        python: str = sys.executable,
        read_back: bool = False,
        landed: PlotIndex | None = None,
    ) -> None:
        self._drives = drives
        self._work = work
        self.challenges = challenges
        self._python = python
        self.read_back = read_back
        self._landed_on = landed or PlotIndex()

    def admit(self, delivery: Delivery, stop: Stop = never, doing: Doing | None = None) -> Admission:
        """Take the plot in. Asked again for a plot that is in, checks that and answers the same.

        Args:
            delivery: What the plotter sent.
            stop: Ends the checks once it is set.
            doing: Is told which check runs, for operators.

        Raises:
            PlotRefused: It is no good, or the drive has another file of its name.
            DriveFailed: The copy differs from the source. What came is put aside, as with PlotRefused.
            TransferFailed: Not now. OrderRefused, common.system.probe.Hanging: as their classes say.
            LetGo: `stop` was set.
        """
        begun_s = time.monotonic()
        arrival = self._arrival(delivery.reservation)
        run = partial(self._work.run, arrival.drive, deadline_s=FLUSH_S)
        run(partial(self._must_be_there, arrival.drive))  # before minutes of reading
        try:
            looked = run(partial(_flushed, arrival, delivery.digest))
            read = self._read(arrival, delivery.digest, stop, doing or Doing())
            verified = prove(arrival.file, looked.header, self.challenges, stop, self._python) + read
        except (PlotRefused, DriveFailed):
            if not arrival.landed:
                run(partial(_put_aside, arrival))
                self._drives.refresh(arrival.drive)
            raise
        landed = run(partial(self._land, arrival, looked.entry))
        self._drives.refresh(arrival.drive)
        took_s = time.monotonic() - begun_s
        log.info(
            "%s is on %s: %s",
            arrival.name.name,
            arrival.drive,
            verified,
            extra={"action": "admitted", "plot_id": arrival.name.plot_id, "digest": delivery.digest},
        )
        return Admission(
            reservation=delivery.reservation,
            landed=str(landed),
            size_bytes=delivery.reservation.size_bytes,
            verified=verified,
            took_s=took_s,
        )

    def _arrival(self, reservation: Reservation) -> _Arrival:
        """Where the message points, if that is a place of ours: it decides nothing about paths."""
        name = PlotName.parse(Path(reservation.path).name)
        if name is None or reservation.drive not in self._drives.paths():
            raise OrderRefused(f"{reservation.drive} is no drive of this host.", "Have the plot sent anew.")
        drive = reservation.drive
        if self._drives.use_of(drive) is DriveUse.DISABLED:
            raise TransferFailed(
                f"{drive} is disabled.", "The source is kept until the drive is enabled again."
            )
        part, final = part_files.part_path(drive, name.plot_id), Path(drive) / name.name
        named = reservation.landed or reservation.part
        if named not in (str(part), str(final)):
            raise OrderRefused(f"{named} is no place for plots on {drive}.", "Have the plot sent anew.")
        # An earlier admission may have been cut off between its rename and its answer.
        places = [final] if reservation.landed else [part, final]
        there = self._work.run(drive, partial(_first, places), FLUSH_S)
        return _Arrival(reservation, name, drive, there)

    def _read(self, arrival: _Arrival, digest: str | None, stop: Stop, doing: Doing) -> str:
        """Read all bytes where size, header and proofs are not enough; says so in words to append."""
        if not self._must_be_read(arrival, digest):
            return ""
        size_bytes = arrival.reservation.size_bytes
        what = "is compared with the file of its name on" if arrival.landed else "is read back from"

        def tell(done_bytes: int) -> None:
            doing.text = f"{what} {arrival.drive}: {100 * done_bytes // size_bytes} %"

        tell(0)
        read = partial(compare, arrival.file, digest or "", stop, tell=tell)
        try:
            self._work.run(arrival.drive, read, deadline_s(size_bytes))
        except DriveFailed as error:
            if not arrival.landed:
                raise
            raise other_file(arrival.final, "Its content differs from the source.") from error
        finally:
            doing.text = None
        return ", all bytes compared with the source" if arrival.landed else ", all bytes read back"

    def _must_be_read(self, arrival: _Arrival, digest: str | None) -> bool:
        """Whether size, header and proofs are not enough: bytes of a run that did not end well may have been
        lost from memory, or be zeros; and a file that somebody else put on the drive may hold anything.
        Raises TransferFailed where there is nothing to compare with."""
        if arrival.landed:
            return self._is_foreign(arrival, digest)
        record = self._work.run(arrival.drive, partial(part_files.record_of, arrival.file), FLUSH_S)
        if digest is None:
            # rsync skips a part as long as its source, whatever is in it; `reserve` cuts such a one.
            raise TransferFailed(
                f"{arrival.file} was full before it was sent.", "Its end is cut off and sent once more."
            )
        if not known(digest):
            log.warning("a digest of an unknown kind, %s, is not looked at", digest)
            return False
        clean = record is not None and not record.resumed and record.boot == machine.boot_id()
        return self.read_back or not clean

    def _is_foreign(self, arrival: _Arrival, digest: str | None) -> bool:
        """Whether only its content can tell that the file is the plot: it is not the one that this harvester
        took in, or the source differs from what was taken in. Raises TransferFailed as _must_be_read."""
        look = partial(digests.admitted, arrival.drive, arrival.name.name)
        entry = self._work.run(arrival.drive, look, FLUSH_S)
        if entry is not None and digest in (None, entry.digest):
            return False
        if not known(digest):
            raise TransferFailed(
                f"{arrival.final} was not taken in by this harvester, and the source's digest is not known.",
                "The source is kept. It is compared with that file at the next try.",
            )
        return True

    def _land(self, arrival: _Arrival, entry: DigestEntry) -> Path:
        """Rename, and make both directories durable. In the drive's thread."""
        self._must_be_there(arrival.drive)
        part_files.prepare(arrival.drive)
        with part_files.locked(arrival.drive):
            # The checks took minutes, and proofs do not miss what is cut off at the end.
            _must_be_whole(arrival)
            if not entry.describes(arrival.file.lstat()):
                raise TransferFailed(f"{arrival.file} was changed during its checks.", "The source is kept.")
            self._landed_on.put(arrival.name.plot_id, arrival.drive)
            if not arrival.landed:
                self._rename(arrival)
            make_durable(arrival.final.parent)
            if known(entry.digest):
                digests.write(arrival.drive, arrival.name.name, entry)
            part_files.drop(part_files.part_path(arrival.drive, arrival.name.plot_id))
            make_durable(part_files.folder(arrival.drive))
        return arrival.final

    def _rename(self, arrival: _Arrival) -> None:
        try:
            rename_new(arrival.file, arrival.final)
        except FileExistsError:
            landed_at(arrival.name, arrival.reservation.size_bytes, arrival.drive)
            # Its content must be compared, which takes too long under the lock.
            raise TransferFailed(
                f"{arrival.final} appeared while the plot was sent.",
                "The source is kept. It is compared with that file at the next try.",
            ) from None

    def _must_be_there(self, drive: str) -> None:
        state = look(drive, self._drives.must_be_mounted).state
        if state is not DirState.OK:
            raise TransferFailed(f"{drive} is {state.value}.", "Bring the drive back; the source is kept.")


def _first(places: list[Path]) -> Path:
    for place in places:
        if place.exists():
            return place
    raise TransferFailed(f"{places[0]} is gone: its reservation lapsed.", "The plot will be sent anew.")


def _flushed(arrival: _Arrival, digest: str | None) -> _Looked:
    """Check what the file system knows, and have the bytes on the drive. In the drive's thread."""
    _must_be_whole(arrival)
    make_durable(arrival.file)
    entry = DigestEntry.of(arrival.file, digest or "")
    arrived(arrival.file)
    header = check_header(arrival.file, arrival.name, arrival.reservation.size_bytes)
    forget_cached(arrival.file)  # the proofs shall read the drive
    return _Looked(header, entry)


def _must_be_whole(arrival: _Arrival) -> None:
    """Raises TransferFailed where the file is not as long as was reserved, or somebody writes it."""
    size_bytes = arrival.file.stat().st_size
    if is_open_for_writing(arrival.file):
        raise TransferFailed(f"{arrival.file} is still being written.", "Let the transfer end.")
    if size_bytes != arrival.reservation.size_bytes:
        raise TransferFailed(
            f"{arrival.file} has {size_bytes} of {arrival.reservation.size_bytes} bytes.",
            "The transfer goes on where it ended.",
        )


def _put_aside(arrival: _Arrival) -> None:
    """Keep what came for a look; it ends in no way that a farmer takes up. In the drive's thread."""
    with part_files.locked(arrival.drive):
        aside = part_files.folder(arrival.drive) / f"{arrival.name.name}{part_files.REFUSED}"
        arrival.file.rename(aside)
        os.utime(aside)
        part_files.drop(arrival.file)
