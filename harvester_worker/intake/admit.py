"""Admits a plot: checks it, renames it to its farmed name, and answers once that survives a power cut."""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from common.errors import DriveFailed, OrderRefused, PlotRefused, TransferFailed
from common.model.messages import Admission, Delivery, Reservation
from common.model.plot_name import PlotName, plot_id_of
from common.model.snapshot import DirState, DriveUse
from common.system.openfile import is_open_for_writing
from common.system.plotfile import Header
from common.system.probe import Probe, look
from common.system.statefile import make_durable
from common.worker.digests import known
from common.worker.move_step import Doing, Stop, never
from harvester_worker.drives import digests, part_files
from harvester_worker.drives.digests import DigestEntry
from harvester_worker.drives.disk import forget_cached, rename_new
from harvester_worker.drives.evacuated import apart
from harvester_worker.drives.existing_plots import best_copy, existing_plot, find_copies, other_file
from harvester_worker.drives.plot_index import PlotIndex
from harvester_worker.drives.registry import LOOK_S, DriveRegistry
from harvester_worker.intake.arrival import FLUSH_S, Arrival, Landing, LandingWatch, NoWatch
from harvester_worker.intake.content import ContentCheck
from harvester_worker.intake.resume import arrived
from harvester_worker.intake.verify import check_header, prove

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Flushed:
    """entry: describes the file before its checks, with the source's digest, or "" if that is unknown."""

    header: Header
    entry: DigestEntry


class Admitter:
    """Admits plots, in threads apart from the surveys': checks may take minutes.

    challenges: number for the proofs; 0: none. read_back: read every plot as a whole, not only those whose
    bytes came in more than one run. watch: is called with what arrives. All may be changed at any time.
    """

    def __init__(
        self,
        drives: DriveRegistry,
        work: Probe,
        challenges: int,
        python: str = sys.executable,
        read_back: bool = False,
        plot_index: PlotIndex | None = None,
    ) -> None:
        """
        Args:
            python: Interpreter that may have the libraries for proofs.
            plot_index: Remembers the drive of each plot; None: only in this process.
        """
        self._drives = drives
        self._work = work
        self._content = ContentCheck(drives, work)
        self.challenges = challenges
        self._python = python
        self.read_back = read_back
        self._plot_index = plot_index or PlotIndex()
        self.watch: LandingWatch = NoWatch()

    def must_fit(self, reservation: Reservation) -> None:
        """Check that this harvester reserved the part for this source and this move. Raises OrderRefused, and
        whatever `admit` raises for a message that names no place of ours."""
        arrival = self._arrival(reservation)
        if arrival.landed:
            return
        record = self._work.run(arrival.drive, partial(part_files.record_of, arrival.file), FLUSH_S)
        if record is None:
            return
        ours = (record.source_host, record.path, record.size_bytes)
        if ours != (reservation.source_host, reservation.path, reservation.size_bytes):
            raise OrderRefused(
                f"{arrival.file} is reserved for {record.path} of {record.source_host}.",
                f"Nothing was changed. Check who uses the Redis user of {reservation.source_host}.",
            )
        if None not in (record.move, reservation.move) and record.move != reservation.move:
            raise OrderRefused(
                f"{arrival.file} is reserved for another move of this plot.", "That one goes its own way."
            )

    def admit(
        self,
        delivery: Delivery,
        stop: Stop = never,
        doing: Doing | None = None,
        digest: str | None = None,
    ) -> Admission:
        """Take the plot in. For a plot that is in already, check it and answer the same.

        Args:
            delivery: What the plotter sent.
            stop: Ends the checks once it is set.
            doing: Gets the name of the check that runs, for operators.
            digest: Of the plot as it came through the receiver; None: as the part's record or the plotter
            says.

        Raises:
            PlotRefused: The plot is invalid, or a drive has another file of its name or id.
            DriveFailed: The copy differs from the source. The part is put aside, as with PlotRefused.
            TransferFailed: Not possible now.
            OrderRefused: The message names no place of ours.
            Hanging: The drive does not answer.
            StepInterrupted: `stop` was set.
        """
        begun_s = time.monotonic()
        arrival = self._arrival(delivery.reservation)
        run = partial(self._work.run, arrival.drive, deadline_s=FLUSH_S)
        run(partial(self._must_be_ready, arrival.drive))  # before minutes of reading
        digest = self._content.agreed_digest(arrival, delivery.digest, digest)
        try:
            flushed = run(partial(_flushed, arrival, digest))
            read = self._content.read(arrival, digest, self.read_back, stop, doing or Doing())
            proved = prove(arrival.file, flushed.header, self.challenges, stop, self._python)
            verified = proved.text + read
            self._must_be_alone(arrival)
            landed = run(partial(self._rename_durably, arrival, flushed, proved.proofs))
        except (PlotRefused, DriveFailed) as error:
            if not arrival.landed:
                self.watch.refused(arrival.drive, str(error))
                run(partial(_put_aside, arrival))
                self._drives.refresh(arrival.drive)
            raise
        self._drives.refresh(arrival.drive)
        took_s = time.monotonic() - begun_s
        log.info(
            "%s is on %s: %s",
            arrival.final.name,
            arrival.drive,
            verified,
            extra={"action": "admitted", "plot_id": arrival.name.plot_id, "digest": digest},
        )
        return Admission(
            reservation=delivery.reservation,
            landed=str(landed),
            size_bytes=delivery.reservation.size_bytes,
            verified=verified,
            took_s=took_s,
        )

    def _arrival(self, reservation: Reservation) -> Arrival:
        """Find the file that the message means. Raises OrderRefused for any place but the plot's own part and
        name: a message must not choose paths."""
        name = PlotName.parse(Path(reservation.path).name)
        if name is None or reservation.drive not in self._drives.paths():
            raise OrderRefused(
                f"{reservation.drive} is not a drive of this host.", "Have the plot sent again."
            )
        drive = reservation.drive
        if self._drives.use_of(drive) is DriveUse.DISABLED:
            raise TransferFailed(
                f"{drive} is disabled.", "The source is kept until the drive is enabled again."
            )
        part, final = part_files.part_path(drive, name.plot_id), Path(drive) / name.name
        named = reservation.landed or reservation.part or ""
        if plot_id_of(named) == name.plot_id and named == str(Path(drive) / Path(named).name):
            final = Path(named)
        elif named != str(part):
            raise OrderRefused(
                f"{named} is not the place of this plot on {drive}.", "Have the plot sent again."
            )
        # An earlier admission may have been cut off between its rename and its answer.
        places = [final] if reservation.landed else [part, final]
        there = self._work.run(drive, partial(_existing, places), FLUSH_S)
        return Arrival(reservation, name, drive, there, final)

    def _rename_durably(self, arrival: Arrival, flushed: _Flushed, proofs: int) -> Path:
        """Rename the part, and make both directories durable. In the drive's thread."""
        entry = flushed.entry
        self._must_be_ready(arrival.drive)
        part_files.prepare(arrival.drive)
        with part_files.locked(arrival.drive):
            # The checks took minutes, and proofs do not notice a missing end.
            _must_be_whole(arrival)
            if not entry.describes(arrival.file.lstat()):
                raise TransferFailed(f"{arrival.file} was changed during its checks.", "The source is kept.")
            self._plot_index.put(arrival.name.plot_id, arrival.drive)
            if not arrival.landed:
                self.watch.landing(_landing(arrival, flushed.header, proofs))
                self._rename(arrival)
            make_durable(arrival.final.parent)
            if known(entry.digest):
                digests.write(arrival.drive, arrival.final.name, entry.renamed(arrival.final))
            part_files.drop(part_files.part_path(arrival.drive, arrival.name.plot_id))
            make_durable(part_files.folder(arrival.drive))
        return arrival.final

    def _rename(self, arrival: Arrival) -> None:
        if found := existing_plot(arrival.name, arrival.reservation.size_bytes, arrival.drive):
            raise _appeared(found.path)
        try:
            rename_new(arrival.file, arrival.final)
        except FileExistsError:
            raise _appeared(arrival.final) from None

    def _must_be_alone(self, arrival: Arrival) -> None:
        """Raise TransferFailed or PlotRefused if another drive has got the plot, or another file of its id,
        since its space was reserved. A drive that cannot be read was not known to have it then, either.

        Raise TransferFailed for a plot of an evacuated drive, if this copy would leave, too, or is no other
        file system's."""
        there = [path for path in self._drives.paths() if self._drives.use_of(path) is not DriveUse.DISABLED]
        aside = apart(self._drives.probe, there, arrival.reservation, LOOK_S)
        if arrival.drive in aside:
            raise TransferFailed(
                f"{arrival.drive} {aside[arrival.drive]}: it is no place for a plot of an evacuated drive.",
                "The source is kept. The next try finds another drive.",
            )
        if arrival.landed:
            return
        others = [drive for drive in there if drive != arrival.drive and drive not in aside]
        size_bytes = arrival.reservation.size_bytes
        copies = find_copies(self._drives.probe, others, arrival.name, size_bytes, LOOK_S)
        if (found := best_copy(copies)) is not None:
            raise _appeared(found[1].path)

    def _must_be_ready(self, drive: str) -> None:
        state = look(drive, self._drives.must_be_mounted).state
        if state is not DirState.OK:
            raise TransferFailed(f"{drive} is {state.value}.", "Bring the drive back; the source is kept.")


def _landing(arrival: Arrival, header: Header, proofs: int) -> Landing:
    record = part_files.record_of(arrival.file)  # of the order to reserve; the message passed through others
    evacuates = arrival.reservation.evacuates or record is None or record.evacuates
    return Landing(arrival.name.plot_id, arrival.file, arrival.final, header, proofs, evacuates)


def _appeared(path: Path) -> TransferFailed:
    """Comparing the content takes too long now."""
    return TransferFailed(
        f"{path} appeared while the plot was sent.", "The source is kept. The next try compares the two."
    )


def _existing(places: list[Path]) -> Path:
    for place in places:
        if place.exists():
            return place
    raise TransferFailed(f"{places[0]} no longer exists.", "The source is kept, and its move begins again.")


def _flushed(arrival: Arrival, digest: str | None) -> _Flushed:
    """Check length and header, and flush the bytes to the drive. In the drive's thread."""
    _must_be_whole(arrival)
    make_durable(arrival.file)
    entry = DigestEntry.of(arrival.file, digest or "")
    arrived(arrival.file)
    try:
        header = check_header(arrival.file, arrival.name, arrival.reservation.size_bytes)
    except PlotRefused as error:
        raise other_file(arrival.file, error.what) if arrival.landed else error from None
    forget_cached(arrival.file)  # so that the proofs read the drive
    return _Flushed(header, entry)


def _must_be_whole(arrival: Arrival) -> None:
    """Raise TransferFailed if the file has not the reserved length, or is open for writing."""
    size_bytes = arrival.file.stat().st_size
    if is_open_for_writing(arrival.file):
        raise TransferFailed(f"{arrival.file} is still being written.", "Wait until the transfer has ended.")
    if size_bytes != arrival.reservation.size_bytes:
        raise TransferFailed(
            f"{arrival.file} has {size_bytes} of {arrival.reservation.size_bytes} bytes.",
            "The next transfer resumes where this one ended.",
        )


def _put_aside(arrival: Arrival) -> None:
    """Keep the refused file for inspection. In the drive's thread."""
    with part_files.locked(arrival.drive) as incoming:
        part_files.put_aside(arrival.file, incoming, arrival.name.name)
