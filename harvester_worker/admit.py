"""Takes a plot in: checks it, gives it its farmed name, answers when that would outlive a power cut."""

from __future__ import annotations

import logging
import os
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from common import machine
from common.durable import make_durable
from common.errors import DriveFailed, OrderRefused, PlotRefused, TransferFailed
from common.messages import Admission, Delivery, Reservation
from common.moving import Stop, never
from common.openfile import is_open_for_writing
from common.plotfile import Header, PlotName
from common.probe import Probe, look
from common.snapshot import DirState, DriveUse
from harvester_worker import incoming, ledger
from harvester_worker.disk import forget_cached, rename_new
from harvester_worker.drives import Drives
from harvester_worker.farmed import landed_at
from harvester_worker.landed import Landed
from harvester_worker.ledger import Entry
from harvester_worker.readback import compare, deadline_s, known
from harvester_worker.resume import arrived
from harvester_worker.verify import check_header, prove

log = logging.getLogger(__name__)

# rsync has flushed the part already; what is left is quick even on a slow drive.
FLUSH_S = 1800.0


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A plot to take in: `file` is its part, or where it landed before."""

    reservation: Reservation
    name: PlotName
    drive: str
    file: Path

    @property
    def final(self) -> Path:
        return Path(self.drive) / self.name.name


class Admitter:
    """Checks may take minutes, so that they have threads of their own: looks at the drive go on meanwhile.

    challenges: for the proofs; 0 for none. python: interpreter that may have chiapos. read_back: read every
    plot as a whole, not only those whose bytes came in more than one run. Both may be changed at any time.
    """

    def __init__(
        self,
        drives: Drives,
        work: Probe,
        challenges: int,
        python: str = sys.executable,
        read_back: bool = False,
        landed: Landed | None = None,
    ) -> None:
        self._drives = drives
        self._work = work
        self.challenges = challenges
        self._python = python
        self.read_back = read_back
        self._landed_on = landed or Landed()

    def admit(self, delivery: Delivery, stop: Stop = never) -> Admission:
        """Take the plot in. Asked again for a plot that is in, checks that and answers the same.

        Raises PlotRefused (it is no good), DriveFailed (its copy is none), and what came is put aside;
        TransferFailed (not now), OrderRefused, common.probe.Hanging; LetGo when `stop` is set meanwhile.
        """
        begun_s = time.monotonic()
        arrival = self._arrival(delivery.reservation)
        run = partial(self._work.run, arrival.drive, deadline_s=FLUSH_S)
        try:
            header = run(partial(_flushed, arrival))
            if whole := self._must_be_read(arrival, delivery.digest):
                read = partial(compare, arrival.file, delivery.digest or "", stop)
                self._work.run(arrival.drive, read, deadline_s(delivery.reservation.size_bytes))
            verified = prove(arrival.file, header, self.challenges, stop, self._python)
            verified += ", all bytes read back" if whole else ""
        except (PlotRefused, DriveFailed):
            if arrival.file != arrival.final:
                run(partial(_put_aside, arrival))
                self._drives.refresh(arrival.drive)
            raise
        landed = run(partial(self._land, arrival, delivery.digest))
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
        part, final = incoming.part_path(drive, name.plot_id), Path(drive) / name.name
        named = reservation.landed or reservation.part
        if named not in (str(part), str(final)):
            raise OrderRefused(f"{named} is no place for plots on {drive}.", "Have the plot sent anew.")
        # An earlier admission may have been cut off between its rename and its answer.
        places = [final] if reservation.landed else [part, final]
        there = self._work.run(drive, partial(_first, places), FLUSH_S)
        return _Arrival(reservation, name, drive, there)

    def _must_be_read(self, arrival: _Arrival, digest: str | None) -> bool:
        """Whether size, header and proofs are not enough: bytes of a run that did not end well may have been
        lost from memory, or be zeros. Raises TransferFailed where they cannot be held against anything."""
        if arrival.file == arrival.final:
            return False
        record = self._work.run(arrival.drive, partial(incoming.record_of, arrival.file), FLUSH_S)
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

    def _land(self, arrival: _Arrival, digest: str | None) -> Path:
        """Rename, and make both directories durable. In the drive's thread."""
        self._must_be_there(arrival.drive)
        incoming.prepare(arrival.drive)
        with incoming.locked(arrival.drive):
            # The checks took minutes, and proofs do not miss what is cut off at the end.
            _must_be_whole(arrival)
            self._landed_on.put(arrival.name.plot_id, arrival.drive)
            if arrival.file != arrival.final:
                try:
                    rename_new(arrival.file, arrival.final)
                except FileExistsError:
                    # Raises unless it is this very plot; the second copy is not needed then.
                    landed_at(arrival.name, arrival.reservation.size_bytes, arrival.drive)
            make_durable(arrival.final.parent)
            if known(digest) and arrival.file != arrival.final:
                entry = Entry(digest=digest or "", size_bytes=arrival.reservation.size_bytes)
                ledger.write(arrival.drive, arrival.name.name, entry)
            incoming.drop(incoming.part_path(arrival.drive, arrival.name.plot_id))
            make_durable(incoming.folder(arrival.drive))
        return arrival.final

    def _must_be_there(self, drive: str) -> None:
        state = look(drive, self._drives.must_be_mounted).state
        if state is not DirState.OK:
            raise TransferFailed(f"{drive} is {state.value}.", "Bring the drive back; the source is kept.")


def _first(places: list[Path]) -> Path:
    for place in places:
        if place.exists():
            return place
    raise TransferFailed(f"{places[0]} is gone: its reservation lapsed.", "The plot will be sent anew.")


def _flushed(arrival: _Arrival) -> Header:
    """Check what the file system knows, and have the bytes on the drive. In the drive's thread."""
    _must_be_whole(arrival)
    make_durable(arrival.file)
    arrived(arrival.file)
    header = check_header(arrival.file, arrival.name, arrival.reservation.size_bytes)
    forget_cached(arrival.file)  # the proofs shall read the drive
    return header


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
    with incoming.locked(arrival.drive):
        aside = incoming.folder(arrival.drive) / f"{arrival.name.name}{incoming.REFUSED}"
        arrival.file.rename(aside)
        os.utime(aside)
        incoming.drop(arrival.file)
