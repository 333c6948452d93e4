"""Reserves: finds a drive for a plot and allocates the plot's bytes on it, before the transfer."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pydantic import Field

from common.config.sections.farm import Placement
from common.errors import NoRoom, OrderRefused, TransferFailed
from common.model.bounds import SeveralFixed
from common.model.messages import AbsolutePath, Message, OneLine, Reservation, SizeBytes
from common.model.plot_name import PlotName
from common.model.snapshot import DirState, DriveUse
from common.model.units import human_bytes, human_duration
from common.system import machine
from common.system.output import FULL
from common.system.probe import LOOK_DEADLINE_S, Hanging, full
from harvester_worker.drives import part_files
from harvester_worker.drives.disk import allocate
from harvester_worker.drives.evacuated import apart
from harvester_worker.drives.existing_plots import (
    UNREAD,
    Copies,
    best_copy,
    find_copies,
    same_file,
    why_unread,
)
from harvester_worker.drives.part_files import Part, PartRecord
from harvester_worker.drives.placement import Candidate, Refusal, choose_drive, why_not
from harvester_worker.drives.plot_index import PlotIndex
from harvester_worker.drives.registry import CHANGE_S, DriveRegistry
from harvester_worker.drives.survey import DriveSurvey
from harvester_worker.intake.resume import VAIN_MAX, give_up, is_arriving, resume, tries_in_vain

log = logging.getLogger(__name__)

# How long a plot is kept off a drive that failed while it took the plot.
AVOID_S = 3600.0
# A drive that failed for this number of plots within AVOID_S comes last for all: each would cost a whole
# transfer.
_FAILING = 2

_READABLE = (DirState.OK, DirState.READ_ONLY)


class ReserveOrder(Message):
    """Arguments of `reserve`: a finished plot, and the host on which it lies. move, evacuates: see
    Reservation.
    door: False if the plotter needs no receiver, since it sends over ssh or to a mounted path.
    drives: the only ones that may get the plot; empty: any."""

    host: OneLine
    source_host: OneLine
    path: AbsolutePath
    size_bytes: SizeBytes = Field(gt=0)
    move: OneLine | None = None
    door: bool = True
    evacuates: bool = False
    drives: SeveralFixed[OneLine] = ()

    def plot_name(self) -> PlotName:
        """Parse the path's name. Raises OrderRefused if it is not a plot's."""
        name = PlotName.parse(Path(self.path).name)
        if name is None:
            raise OrderRefused(f"{self.path} is not named like a finished plot.", "Leave it where it is.")
        return name

    def answer(
        self, drive: str, part: Path | None = None, landed: Path | None = None, compare: bool = False
    ) -> Reservation:
        return Reservation(
            host=self.host,
            source_host=self.source_host,
            path=self.path,
            size_bytes=self.size_bytes,
            drive=drive,
            part=str(part) if part else None,
            landed=str(landed) if landed else None,
            compare=compare,
            move=self.move,
            evacuates=self.evacuates,
        )


@dataclass(frozen=True, slots=True)
class Limits:
    """margin_bytes: left free on each drive. writers_per_drive: most transfers to one drive at a time.
    placement: which drive gets a plot that several could take."""

    margin_bytes: int
    writers_per_drive: int
    placement: Placement = Placement.FILL


class Reserver:
    """One per harvester. It makes one reservation at a time, each within milliseconds. limits: may be
    replaced at any time."""

    def __init__(self, drives: DriveRegistry, limits: Limits, plot_index: PlotIndex | None = None) -> None:
        self._drives = drives
        self._plot_index = plot_index or PlotIndex()
        self.limits = limits
        self._one_at_a_time = threading.Lock()
        self._avoided: dict[tuple[str, str], tuple[float, str]] = {}  # (plot, drive) -> (until, why)
        self._failed: dict[tuple[str, str], float] = {}  # (plot, drive) -> until
        self._suspected: dict[tuple[str, str], float] = {}  # (plotter, drive) -> until
        # Called, in any thread, with a plot, the drive that failed for it, and what failed.
        self.on_failed: Callable[[str, str, str], object] = lambda *_: None

    def avoid(self, plot_id: str, drive: str, reason: str, blame: bool = True) -> None:
        """Keep the plot off a drive that failed while it took the plot, for AVOID_S.

        Args:
            blame: Whether this process itself has seen the drive fail: then it comes last for other plots.
        """
        until_s = time.monotonic() + AVOID_S
        self._avoided[plot_id, drive] = (until_s, reason)
        if blame:
            self._failed[plot_id, drive] = until_s
        if blame and self._failing(drive):
            log.warning(
                "%s failed for several plots within an hour: the other drives come first",
                drive,
                extra={"action": "drive-failing", "drive": drive},
            )

    def suspect(self, plot_id: str, plotter: str | None, drive: str, reason: str) -> None:
        """Keep the plot off a drive for what only its plotter or its rsync says. Blame the drive if this
        process cannot write to it either, or if a second plotter says so. Does not wait for the drive.

        Args:
            plotter: None if its network may be the cause as well.
        """
        self.avoid(plot_id, drive, reason, blame=False)
        if plotter is not None:
            now_s = time.monotonic()
            recent = {each: until_s for each, until_s in self._suspected.items() if until_s > now_s}
            self._suspected = {**recent, (plotter, drive): now_s + AVOID_S}

        def check() -> None:
            confirmed = reason if plotter and _recent(self._suspected, drive) >= _FAILING else None
            trouble = self._drives.write_trouble(drive) or confirmed
            if trouble is not None:
                self.avoid(plot_id, drive, trouble)
                self.on_failed(plot_id, drive, trouble)
                return
            log.warning(
                "%s takes what this harvester writes, and stays in use, though: %s",
                drive,
                reason,
                extra={"action": "drive-works", "plot_id": plot_id, "drive": drive},
            )

        threading.Thread(target=check, name=f"check {drive}", daemon=True).start()

    def _failing(self, drive: str) -> bool:
        return _recent(self._failed, drive) >= _FAILING

    def _why_avoided(self, plot_id: str, drive: str) -> str | None:
        until_s, reason = self._avoided.get((plot_id, drive), (0.0, ""))
        return reason if until_s > time.monotonic() else None

    def reserve(self, order: ReserveOrder) -> Reservation:
        """Allocate the plot's bytes on a drive, or find where the plot already is. Idempotent: another call
        for the same plot gives the same answer.

        Raises:
            TransferFailed: No drive takes it now; the message has the reason for each.
            NoRoom: No drive takes it now, and none has a copy of it.
            PlotRefused: A drive has another file of this name.
            OrderRefused: It is not a plot, or does not leave a drive of this host, as the order claims.
        """
        name = order.plot_name()
        with self._one_at_a_time:
            seen = self._drives.refresh()
            aside = apart(self._drives.probe, seen, order, CHANGE_S)
            counted = {path: survey for path, survey in seen.items() if path not in aside}
            usable = [path for path, survey in counted.items() if survey.report.state is DirState.OK]
            readable = [path for path in counted if seen[path].report.state in _READABLE]
            copies = find_copies(self._drives.probe, readable, name, order.size_bytes, CHANGE_S)
            if answer := self._existing(order, copies):
                return answer
            unread = {path: answer for path, answer in copies.items() if isinstance(answer, UNREAD)}
            home = self._plot_index.drive_of(name.plot_id)
            away = home in self._drives.paths() and home not in aside
            if home is not None and away and (home not in readable or home in unread):
                raise TransferFailed(
                    f"{name.name} is on {home}, which {self._why_unreadable(home, seen, unread)}.",
                    "Bring the drive back, or take it out of harvester.drives to have the plot sent again.",
                )
            if answer := self._resumed(order, name, {path: seen[path] for path in usable}):
                return answer
            for path in self._give_up_failed(order, counted):
                counted |= self._drives.refresh(path)
            return self._begun(order, name, counted, unread, aside)

    def begun_bytes(self, drive: str, part: Path) -> int:
        """Length of a part that was just reserved, as last seen; does not access the drive."""
        return self._drives.length_bytes(drive, part)

    def _why_unreadable(
        self, home: str, seen: Mapping[str, DriveSurvey], unread: Mapping[str, OSError | Hanging]
    ) -> str:
        if self._drives.use_of(home) is DriveUse.DISABLED:
            return "is disabled"
        return why_unread(unread[home]) if home in unread else f"is {seen[home].report.state.value}"

    def _existing(self, order: ReserveOrder, copies: Copies) -> Reservation | None:
        found = best_copy(copies)
        if found is None:
            return None
        drive, file = found
        if order.host == order.source_host and same_file(order.path, str(file.path)):
            raise OrderRefused(
                f"{order.path} lies on the drive {drive} already.",
                "Do not name one folder both as dst and as drive.",
            )
        return order.answer(drive, landed=file.path, compare=not file.ours)

    def _resumed(
        self, order: ReserveOrder, name: PlotName, seen: dict[str, DriveSurvey]
    ) -> Reservation | None:
        begun = ((drive, part) for drive, survey in seen.items() for part in survey.parts)
        for drive, part in begun:
            if part.path.stem != name.plot_id:
                continue
            try:
                if part.record is not None and part.record.source_host != order.source_host:
                    self._give_up_anothers(drive, part, part.record)
                    continue
                resumes = self._resumes(drive, part, _record(order, name), seen[drive])
            except (OSError, Hanging) as error:
                self.avoid(name.plot_id, drive, str(error))
                continue
            if resumes:
                log.info(
                    "%s resumes at %s",
                    name.name,
                    human_bytes(part.length_bytes),
                    extra={"action": "resumed", "plot_id": name.plot_id, "drive": drive},
                )
                return order.answer(drive, part=part.path)
        return None

    def _give_up_failed(self, order: ReserveOrder, seen: Mapping[str, DriveSurvey]) -> list[str]:
        """Delete parts of other plots of the same evacuated drive, which leave it one by one: their
        transfers have failed, as for a plot that cannot be read, and they would keep the place of the next
        one for hours. Never a full part, which may be checked now. Returns the drives."""
        found = []
        for drive, survey in seen.items() if order.evacuates else ():
            for part in survey.parts:
                record = part.record
                if (
                    record is None
                    or record.source_host != order.source_host
                    or Path(record.path).parent != Path(order.path).parent
                    or part.length_bytes >= record.size_bytes
                ):
                    continue
                with contextlib.suppress(OSError, Hanging):
                    self._drives.probe.run(drive, partial(give_up, drive, part.path), CHANGE_S)
                    found.append(drive)
        return found

    def _give_up_anothers(self, drive: str, part: Part, record: PartRecord) -> None:
        """Delete the part of another plotter if nothing arrives. Raises TransferFailed if something does:
        else every plotter that lists a plot could spoil it."""
        if is_arriving(part, record):
            raise TransferFailed(
                f"{part.path} is reserved for {record.path} of {record.source_host}.",
                "Two plotters list this plot: delete one copy. Without that, the other's turn comes once "
                f"nothing has arrived for {human_duration(part_files.IDLE_S)}.",
            )
        self._drives.probe.run(drive, partial(give_up, drive, part.path), CHANGE_S)

    def _resumes(self, drive: str, part: Part, record: PartRecord, seen: DriveSurvey) -> bool:
        if tries_in_vain(part) >= VAIN_MAX:
            reason = f"several transfers got no further than {human_bytes(part.length_bytes)}"
            self.suspect(record.plot_id, None, drive, reason)
        if self._why_avoided(record.plot_id, drive):
            self._drives.probe.run(drive, partial(give_up, drive, part.path), CHANGE_S)
            return False
        others_bytes = seen.to_come_bytes(but=record.plot_id) + self._drives.elsewhere_bytes(seen)
        return self._drives.probe.run(drive, partial(resume, drive, part, record, others_bytes), CHANGE_S)

    def _begun(
        self,
        order: ReserveOrder,
        name: PlotName,
        seen: dict[str, DriveSurvey],
        unread: Mapping[str, OSError | Hanging],
        aside: Mapping[str, str],
    ) -> Reservation:
        left = {
            path: replace(self._drives.candidate(path, survey), failing=self._failing(path))
            for path, survey in seen.items()
            if not order.drives or path in order.drives
        }
        reasons = {path: why_unread(error) for path, error in unread.items()}
        reasons |= {path: why for path in left if (why := self._why_avoided(name.plot_id, path))}
        for path in reasons:
            del left[path]
        while isinstance(chosen := self._choose(left, order), Candidate):
            del left[chosen.path]
            try:
                work = partial(self._allocate, chosen.path, order, name)
                part = self._drives.probe.run(chosen.path, work, CHANGE_S)
            except (OSError, Hanging, TransferFailed) as error:
                reasons[chosen.path] = self._why_full(chosen.path, error) or str(error)
                continue
            self._drives.refresh(chosen.path)
            log.info(
                "%s: %s reserved for %s",
                chosen.path,
                human_bytes(order.size_bytes),
                name.name,
                extra={"action": "reserved", "plot_id": name.plot_id, "drive": chosen.path},
            )
            return order.answer(chosen.path, part=part)
        others = [path for path in self._drives.paths() if path not in seen and path not in aside]
        disabled = [(path, DriveUse.DISABLED.value) for path in others]
        refusal = Refusal((*chosen.reasons, *reasons.items(), *disabled, *aside.items()))
        # A drive that is missing or disabled may have the complete plot; the others were searched.
        searched_all = (
            not disabled and not unread and all(survey.report.state in _READABLE for survey in seen.values())
        )
        if searched_all and not order.evacuates:
            with contextlib.suppress(OSError):  # then the plot waits for this harvester, for a day at most
                self._plot_index.forget(name.plot_id)
        raise (NoRoom if searched_all else TransferFailed)(
            f"No drive of {order.host} takes {name.name} ({human_bytes(order.size_bytes)}) now: {refusal}.",
            "The plot stays on its plotter until one does.",
        )

    def _why_full(self, drive: str, error: Exception) -> str | None:
        """Bytes or inodes: a drive may have free space and no inode left. None for another error."""
        if not isinstance(error, OSError) or error.errno not in FULL:
            return None
        try:
            return self._drives.probe.run(drive, lambda: full(drive), LOOK_DEADLINE_S)
        except (OSError, Hanging):
            return None

    def _choose(self, left: dict[str, Candidate], order: ReserveOrder) -> Candidate | Refusal:
        limits = self.limits
        return choose_drive(
            list(left.values()),
            order.size_bytes,
            limits.margin_bytes,
            limits.writers_per_drive,
            limits.placement,
        )

    def _allocate(self, drive: str, order: ReserveOrder, name: PlotName) -> Path:
        """Allocate the bytes; in the drive's own thread. Surveys the drive again under its lock, so that
        nobody else can take the space in between."""
        part_files.prepare(drive)
        with part_files.locked(drive):
            now = self._drives.candidate(drive, self._drives.survey(drive))
            limits = self.limits
            if reason := why_not(now, order.size_bytes, limits.margin_bytes, limits.writers_per_drive):
                raise TransferFailed(reason)
            part = part_files.part_path(drive, name.plot_id)
            fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            try:
                allocate(fd, order.size_bytes)
                os.fsync(fd)
                part_files.write_record(part, _record(order, name))
            except BaseException:
                part_files.drop(part)  # ext4 keeps what a failed allocation got
                raise
            finally:
                os.close(fd)
        return part


def _recent(known: Mapping[tuple[str, str], float], drive: str) -> int:
    """Count entries of the drive that are not over yet."""
    now_s = time.monotonic()
    return sum(where == drive and until_s > now_s for (_, where), until_s in list(known.items()))


def _record(order: ReserveOrder, name: PlotName) -> PartRecord:
    return PartRecord(
        plot_id=name.plot_id,
        name=name.name,
        size_bytes=order.size_bytes,
        source_host=order.source_host,
        path=order.path,
        reserved_at=part_files.now_utc(),
        boot=machine.boot_id(),
        move=order.move,
        door=order.door and order.source_host != order.host,
        evacuates=order.evacuates,
    )
