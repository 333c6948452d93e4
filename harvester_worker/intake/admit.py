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
from common.system import machine
from common.system.openfile import is_open_for_writing
from common.system.plotfile import Header
from common.system.probe import Probe, look
from common.system.statefile import make_durable
from common.worker.digests import known
from common.worker.move_step import Doing, Stop, never
from harvester_worker.drives import digests, part_files
from harvester_worker.drives.digests import DigestEntry
from harvester_worker.drives.disk import forget_cached, rename_new
from harvester_worker.drives.existing_plots import best_copy, existing_plot, find_copies, other_file
from harvester_worker.drives.plot_index import PlotIndex
from harvester_worker.drives.readback import compare, deadline_s
from harvester_worker.drives.registry import LOOK_S, DriveRegistry
from harvester_worker.intake.resume import arrived, give_up
from harvester_worker.intake.verify import check_header, prove

log = logging.getLogger(__name__)

# rsync has flushed the part already; the rest is quick even on a slow drive.
FLUSH_S = 1800.0


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A plot to take in. file: its part, or the file of the plot that the drive has already. final: where it
    is farmed."""

    reservation: Reservation
    name: PlotName
    drive: str
    file: Path
    final: Path

    @property
    def landed(self) -> bool:
        return self.file == self.final


@dataclass(frozen=True, slots=True)
class _Flushed:
    """entry: describes the file before its checks, with the source's digest, or "" if that is unknown."""

    header: Header
    entry: DigestEntry


class Admitter:
    """Admits plots, in threads apart from the surveys': checks may take minutes.

    challenges: number for the proofs; 0: none. read_back: read every plot as a whole, not only those whose
    bytes came in more than one run. Both may be changed at any time.
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
            python: Interpreter that may have chiapos.
            plot_index: Remembers the drive of each plot; None: only in this process.
        """
        self._drives = drives
        self._work = work
        self.challenges = challenges
        self._python = python
        self.read_back = read_back
        self._plot_index = plot_index or PlotIndex()

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
        digest = self._digest(arrival, delivery.digest, digest)
        try:
            flushed = run(partial(_flushed, arrival, digest))
            read = self._read(arrival, digest, stop, doing or Doing())
            verified = prove(arrival.file, flushed.header, self.challenges, stop, self._python) + read
            self._must_be_alone(arrival)
            landed = run(partial(self._rename_durably, arrival, flushed.entry))
        except (PlotRefused, DriveFailed):
            if not arrival.landed:
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

    def _arrival(self, reservation: Reservation) -> _Arrival:
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
        return _Arrival(reservation, name, drive, there, final)

    def _digest(self, arrival: _Arrival, named: str | None, arrived: str | None) -> str | None:
        """The source's digest, on which both ends must agree: what is on the way may have been changed there.
        Raises TransferFailed, and deletes the part, if they do not.

        Args:
            named: By the plotter: of what its rsync read from the source. None: it sent nothing in its last
                run, so it cannot confirm what arrived in an earlier one.
            arrived: Through the receiver, as far as it is known without the part's record.
        """
        if arrival.landed:
            return named
        if arrived is None:
            record = self._work.run(arrival.drive, partial(part_files.record_of, arrival.file), FLUSH_S)
            arrived = record.digest if record is not None else None
        else:
            # A restart during the checks must not forget it.
            self._work.run(arrival.drive, partial(part_files.note_digest, arrival.file, arrived), FLUSH_S)
        if None not in (arrived, named) and arrived != named:
            self._work.run(arrival.drive, partial(give_up, arrival.drive, arrival.file), FLUSH_S)
            self._drives.refresh(arrival.drive)
            source_host = arrival.reservation.source_host
            log.warning(
                "%s sent %s with the digest %s, but %s arrived",
                source_host,
                arrival.reservation.path,
                named,
                arrived,
                extra={"action": "digest-differs", "plot_id": arrival.name.plot_id},
            )
            raise TransferFailed(
                f"Other bytes arrived than {source_host} sent: something on the way changed them.",
                "The plot is sent again from its beginning. If that repeats, set harvester.receiver_tls, and"
                f" check memory and network of {source_host} and of this machine.",
            )
        return named

    def _read(self, arrival: _Arrival, digest: str | None, stop: Stop, doing: Doing) -> str:
        """Read all bytes if size, header and proofs are not enough; returns words to append to the
        verdict."""
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
                self._must_be_known(arrival)
                raise
            raise other_file(arrival.final, "Its content differs from the source.") from error
        finally:
            doing.text = None
        return ", all bytes compared with the source" if arrival.landed else ", all bytes read back"

    def _must_be_known(self, arrival: _Arrival) -> None:
        """Raise TransferFailed, and delete the part, if nothing but the plotter's message says what came
        through the receiver: the drive may have it right."""
        record = self._work.run(arrival.drive, partial(part_files.record_of, arrival.file), FLUSH_S)
        if record is not None and record.door and record.digest is None:
            self._work.run(arrival.drive, partial(give_up, arrival.drive, arrival.file), FLUSH_S)
            self._drives.refresh(arrival.drive)
            raise TransferFailed(
                f"{arrival.file} has another digest than {record.source_host} says.",
                "The plot is sent again from its beginning.",
            )

    def _must_be_read(self, arrival: _Arrival, digest: str | None) -> bool:
        """Whether size, header and proofs are not enough: bytes of a failed run may have been lost from
        memory, or be zeros; and a file that others put on the drive may have any content. Raises
        TransferFailed if there is nothing to compare with."""
        if arrival.landed:
            return self._is_foreign(arrival, digest)
        record = self._work.run(arrival.drive, partial(part_files.record_of, arrival.file), FLUSH_S)
        if digest is None:
            # rsync skipped it, regardless of its content; the next `reserve` cuts its end off.
            raise TransferFailed(
                f"{arrival.file} was full before it was sent.", "Its end is cut off and sent again."
            )
        clean = (
            record is not None
            and not record.resumed
            and record.boot == machine.boot_id()
            # Else only the plotter's rsync says what came through the receiver: ours did not see its end.
            and (record.digest is not None or not record.door)
        )
        if known(digest):
            return self.read_back or not clean
        if not clean:
            # Sent whole in one run, it needs no reading.
            self._work.run(arrival.drive, partial(give_up, arrival.drive, arrival.file), FLUSH_S)
            self._drives.refresh(arrival.drive)
            raise TransferFailed(
                f"{arrival.file} came in several runs, and the kind of its digest {digest} is not known.",
                "The plot is sent again from its beginning.",
            )
        log.warning("the digest %s is of an unknown kind and is not compared", digest)
        return False

    def _is_foreign(self, arrival: _Arrival, digest: str | None) -> bool:
        """Whether only the content can prove that the file is the plot: this harvester did not take in this
        very file, or not with the source's digest. Raises TransferFailed as _must_be_read does."""
        read = partial(digests.admitted, arrival.drive, arrival.final.name)
        entry = self._work.run(arrival.drive, read, FLUSH_S)
        if entry is not None and digest is not None and digest == entry.digest:
            return False
        if not known(digest):
            raise TransferFailed(
                f"{arrival.final} may have other content than the source: the source's digest is not known.",
                "The source is kept. The next try compares the two. If that repeats, update the plotter.",
            )
        return True

    def _rename_durably(self, arrival: _Arrival, entry: DigestEntry) -> Path:
        """Rename the part, and make both directories durable. In the drive's thread."""
        self._must_be_ready(arrival.drive)
        part_files.prepare(arrival.drive)
        with part_files.locked(arrival.drive):
            # The checks took minutes, and proofs do not notice a missing end.
            _must_be_whole(arrival)
            if not entry.describes(arrival.file.lstat()):
                raise TransferFailed(f"{arrival.file} was changed during its checks.", "The source is kept.")
            self._plot_index.put(arrival.name.plot_id, arrival.drive)
            if not arrival.landed:
                self._rename(arrival)
            make_durable(arrival.final.parent)
            if known(entry.digest):
                digests.write(arrival.drive, arrival.final.name, entry.renamed(arrival.final))
            part_files.drop(part_files.part_path(arrival.drive, arrival.name.plot_id))
            make_durable(part_files.folder(arrival.drive))
        return arrival.final

    def _rename(self, arrival: _Arrival) -> None:
        if found := existing_plot(arrival.name, arrival.reservation.size_bytes, arrival.drive):
            raise _appeared(found.path)
        try:
            rename_new(arrival.file, arrival.final)
        except FileExistsError:
            raise _appeared(arrival.final) from None

    def _must_be_alone(self, arrival: _Arrival) -> None:
        """Raise TransferFailed or PlotRefused if another drive has got the plot, or another file of its id,
        since its space was reserved. A drive that cannot be read was not known to have it then, either."""
        if arrival.landed:
            return
        others = [
            drive
            for drive in self._drives.paths()
            if drive != arrival.drive and self._drives.use_of(drive) is not DriveUse.DISABLED
        ]
        size_bytes = arrival.reservation.size_bytes
        copies = find_copies(self._drives.probe, others, arrival.name, size_bytes, LOOK_S)
        if (found := best_copy(copies)) is not None:
            raise _appeared(found[1].path)

    def _must_be_ready(self, drive: str) -> None:
        state = look(drive, self._drives.must_be_mounted).state
        if state is not DirState.OK:
            raise TransferFailed(f"{drive} is {state.value}.", "Bring the drive back; the source is kept.")


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


def _flushed(arrival: _Arrival, digest: str | None) -> _Flushed:
    """Check length and header, and flush the bytes to the drive. In the drive's thread."""
    _must_be_whole(arrival)
    make_durable(arrival.file)
    entry = DigestEntry.of(arrival.file, digest or "")
    arrived(arrival.file)
    header = check_header(arrival.file, arrival.name, arrival.reservation.size_bytes)
    forget_cached(arrival.file)  # so that the proofs read the drive
    return _Flushed(header, entry)


def _must_be_whole(arrival: _Arrival) -> None:
    """Raise TransferFailed if the file has not the reserved length, or is open for writing."""
    size_bytes = arrival.file.stat().st_size
    if is_open_for_writing(arrival.file):
        raise TransferFailed(f"{arrival.file} is still being written.", "Wait until the transfer has ended.")
    if size_bytes != arrival.reservation.size_bytes:
        raise TransferFailed(
            f"{arrival.file} has {size_bytes} of {arrival.reservation.size_bytes} bytes.",
            "The next transfer resumes where this one ended.",
        )


def _put_aside(arrival: _Arrival) -> None:
    """Keep the refused file for inspection. In the drive's thread."""
    with part_files.locked(arrival.drive) as incoming:
        part_files.put_aside(arrival.file, incoming, arrival.name.name)
