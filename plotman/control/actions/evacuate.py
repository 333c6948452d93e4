"""Evacuate a farming drive: show what would move, order it, end it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from common.errors import PlotmanError
from common.model.disk_usage import free_bytes_once
from common.model.snapshot import Drive
from common.model.units import counted, human_bytes
from common.names import EVACUATE, STOP_EVACUATION, Role
from plotman.control.actions.holds import HoldPlace, NoSuchPlace, concerned, place, requester
from plotman.control.farm import FarmState, board, read_farm, settings
from plotman.control.rpc import NoAnswer, ask

_ANSWER_S = 60.0  # a failing drive is listed first


class CannotEvacuate(PlotmanError):
    """The order makes no sense."""


@dataclass(frozen=True)
class EvacuationPlan:
    """What an order would do.

    to: the destinations as they are sent; empty: anywhere. room_bytes: free on the drives that may take the
    plots; plots that are on their way there still need some of it. used_bytes: on the drive; None: not known.
    """

    host: str
    drive: str
    to: tuple[str, ...]
    plots: int
    used_bytes: int | None
    room_bytes: int
    drives: int

    def lines(self) -> list[str]:
        """For an operator who is asked."""
        used = "" if self.used_bytes is None else f" ({human_bytes(self.used_bytes)} in use)"
        lines = [
            f"{self.host}:{self.drive} has {counted(self.plots, 'plot')}{used}. Each is copied to another "
            "drive, checked there, and then deleted here. What is no whole plot stays, and is named. The "
            "drive takes no new plots, now and afterwards.",
            f"{counted(self.drives, 'drive')} may take them, with {human_bytes(self.room_bytes)} free.",
        ]
        if self.used_bytes is not None and self.room_bytes < self.used_bytes:
            lines.append("That is not enough for all: the others stay until there is more room.")
        return lines


def _place_of_drive(text: str) -> HoldPlace:
    """Parse HOST:/DRIVE, or /DRIVE of this machine, without the broker. Raises ValueError, ConfigError."""
    with suppress(ValueError):
        meant = place(text, settings().host)
        if meant.host is not None and meant.dir is not None:
            return meant
    raise ValueError(f"{text} is no drive: write HOST:/DRIVE, or /DRIVE of this machine")


def _one_drive(meant: HoldPlace, farm: FarmState) -> tuple[str, Drive]:
    """The host and the drive of a place. Raises NoSuchHost, NoSuchPlace, NoAnswer."""
    assert meant.host is not None
    assert meant.dir is not None
    if (Role.HARVESTER, meant.host) not in concerned(meant, farm):
        raise NoSuchPlace(
            f"{meant.dir} of {meant.host} is no drive.", "Only drives of harvesters are evacuated."
        )
    if (Role.HARVESTER, meant.host) in farm.stale:
        raise NoAnswer(f"{farm.absence_text(Role.HARVESTER, meant.host)}.", "Start `plotman up` there.")
    drives = farm.harvesters[meant.host].drives
    return meant.host, next(drive for drive in drives if drive.path == meant.dir)


def plan(text: str, to: Sequence[str]) -> EvacuationPlan:
    """Read what an evacuation would do. Nothing is ordered.

    Args:
        text: HOST:/DRIVE, or /DRIVE of this machine.
        to: HOST or HOST:/DRIVE each, where the plots may go; empty: anywhere.

    Raises:
        ValueError, NoSuchHost, NoSuchPlace, NoAnswer, BrokerError.
        CannotEvacuate: a destination is the drive itself.
    """
    source, meant = _place_of_drive(text), [_destination(one) for one in to]
    farm = read_farm(board())
    host, drive = _one_drive(source, farm)
    for one in meant:
        if not any(role is Role.HARVESTER for role, _ in concerned(one, farm)):
            shown = one.host if one.dir is None else f"{one.host}:{one.dir}"
            raise NoSuchPlace(f"{shown} has no drives.", "Name a harvester, or one of its drives.")
    if any((one.host, one.dir) == (host, drive.path) for one in meant):
        raise CannotEvacuate(f"{host}:{drive.path} cannot take its own plots.", "Name another drive.")
    room = [
        (harvester, other)
        for name, harvester in farm.alive(Role.HARVESTER).items()
        for other in harvester.drives
        if other.takes_plots
        and not (name == host and other.device == drive.device)
        and (not meant or any(one.host == name and one.dir in (None, other.path) for one in meant))
    ]
    used = None
    if drive.total_bytes is not None and drive.free_bytes is not None:
        used = max(0, drive.total_bytes - drive.free_bytes)
    return EvacuationPlan(
        host=host,
        drive=drive.path,
        to=tuple(f"{one.host}:{one.dir}" if one.dir else str(one.host) for one in meant),
        plots=drive.plots,
        used_bytes=used,
        room_bytes=free_bytes_once(room),
        drives=len(room),
    )


def _destination(text: str) -> HoldPlace:
    """Parse HOST or HOST:/DRIVE without the broker. Raises ValueError, ConfigError."""
    meant = place(text, settings().host)
    if meant.host is None:
        raise ValueError(f"{text} is neither HOST nor HOST:/DRIVE")
    return meant


def start(planned: EvacuationPlan, reason: str | None = None, bandwidth_bytes_s: int | None = None) -> str:
    """Order it; returns the harvester's sentence. Raises PlotmanError.

    Args:
        reason: for operators.
        bandwidth_bytes_s: limit of a harvester without a plotter; None: no limit.
    """
    details: dict[str, Any] = {"dir": planned.drive, "by": requester()}
    details |= {"bandwidth_bytes_s": bandwidth_bytes_s} if bandwidth_bytes_s else {}
    details |= {"to": list(planned.to)} if planned.to else {}
    details |= {"reason": reason} if reason else {}
    return str(ask(EVACUATE, planned.host, timeout_s=_ANSWER_S, **details))


def stop(text: str) -> tuple[str, str]:
    """End an evacuation; returns the host and its sentence. Raises as `plan`, and PlotmanError."""
    meant = _place_of_drive(text)
    host, drive = _one_drive(meant, read_farm(board()))
    return host, str(ask(STOP_EVACUATION, host, dir=drive.path))
