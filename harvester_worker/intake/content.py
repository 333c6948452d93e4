"""Decides whether the bytes that arrived are the source's, and reads them where nothing else proves it."""

from __future__ import annotations

import logging
from functools import partial

from common.errors import DriveFailed, TransferFailed
from common.system import machine
from common.system.probe import Probe
from common.worker.digests import known
from common.worker.move_step import Doing, Stop
from harvester_worker.drives import digests, part_files
from harvester_worker.drives.existing_plots import other_file
from harvester_worker.drives.part_files import PartRecord
from harvester_worker.drives.readback import compare, deadline_s
from harvester_worker.drives.registry import DriveRegistry
from harvester_worker.intake.arrival import FLUSH_S, Arrival
from harvester_worker.intake.resume import give_up

log = logging.getLogger(__name__)


class ContentCheck:
    """Compares plots with what their plotters say of the sources."""

    def __init__(self, drives: DriveRegistry, work: Probe) -> None:
        """
        Args:
            work: Runs what may hang, in a thread of the drive.
        """
        self._drives = drives
        self._work = work

    def agreed_digest(self, arrival: Arrival, named: str | None, arrived: str | None) -> str | None:
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
            record = self._record_of(arrival)
            arrived = record.digest if record is not None else None
        else:
            # A restart during the checks must not forget it.
            self._work.run(arrival.drive, partial(part_files.note_digest, arrival.file, arrived), FLUSH_S)
        if None not in (arrived, named) and arrived != named:
            self._give_up(arrival)
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

    def read(self, arrival: Arrival, digest: str | None, read_back: bool, stop: Stop, doing: Doing) -> str:
        """Read all bytes if size, header and proofs are not enough; returns words to append to the
        verdict."""
        if not self._must_be_read(arrival, digest, read_back):
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

    def _must_be_known(self, arrival: Arrival) -> None:
        """Raise TransferFailed, and delete the part, if nothing but the plotter's message says what came
        through the receiver: the drive may have it right."""
        record = self._record_of(arrival)
        if record is not None and record.door and record.digest is None:
            self._give_up(arrival)
            raise TransferFailed(
                f"{arrival.file} has another digest than {record.source_host} says.",
                "The plot is sent again from its beginning.",
            )

    def _must_be_read(self, arrival: Arrival, digest: str | None, read_back: bool) -> bool:
        """Whether size, header and proofs are not enough: bytes of a failed run may have been lost from
        memory, or be zeros; and a file that others put on the drive may have any content. Raises
        TransferFailed if there is nothing to compare with."""
        if arrival.landed:
            return self._is_foreign(arrival, digest)
        record = self._record_of(arrival)
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
            return read_back or not clean
        if not clean:
            # Sent whole in one run, it needs no reading.
            self._give_up(arrival)
            raise TransferFailed(
                f"{arrival.file} came in several runs, and the kind of its digest {digest} is not known.",
                "The plot is sent again from its beginning.",
            )
        log.warning("the digest %s is of an unknown kind and is not compared", digest)
        return False

    def _is_foreign(self, arrival: Arrival, digest: str | None) -> bool:
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

    def _record_of(self, arrival: Arrival) -> PartRecord | None:
        return self._work.run(arrival.drive, partial(part_files.record_of, arrival.file), FLUSH_S)

    def _give_up(self, arrival: Arrival) -> None:
        self._work.run(arrival.drive, partial(give_up, arrival.drive, arrival.file), FLUSH_S)
        self._drives.refresh(arrival.drive)
