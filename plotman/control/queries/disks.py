"""The health of the disks below the farming drives, by their harvesters' snapshots. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from common.errors import ExitCode, PlotmanError
from common.model.snapshot import DiskHealth, Drive
from plotman.control.farm import FarmState
from plotman.control.queries.tables import PlainTable

_WORDS = {True: "FAILS", False: "well", None: "?"}
_HOURS_A_YEAR = 24 * 365.25


class NoSuchHost(PlotmanError):
    """No harvester has this name."""

    exit_code = ExitCode.NOTHING


def drives(farm: FarmState, host: str | None, drive: str | None) -> list[tuple[str, Drive]]:
    """(host, drive) of the drives that are asked for, those that fail first.

    Args:
        host: only this harvester's; None: all.
        drive: only the drives with this path; None: all.

    Raises:
        NoSuchHost: no harvester has this name.
    """
    if host is not None and host not in farm.harvesters:
        known = ", ".join(sorted(farm.harvesters)) or "none"
        raise NoSuchHost(f"No harvester is called {host}.", f"Known: {known}.")
    found = [
        (name, each)
        for name, snapshot in farm.harvesters.items()
        for each in snapshot.drives
        if host in (None, name) and drive in (None, each.path)
    ]
    return sorted(found, key=lambda one: not (one[1].disk and one[1].disk.fails))


def table(found: list[tuple[str, Drive]]) -> PlainTable:
    """A row for each drive."""
    columns = ("host", "drive", "disk", "model", "health", "temperature", "powered on")
    rows = tuple((host, drive.path, *_cells(drive.disk)) for host, drive in found)
    right = frozenset({"temperature", "powered on"})
    return PlainTable(columns, rows, right=right, spare=("model", "disk"), paths=frozenset({"drive"}))


def _cells(disk: DiskHealth | None) -> Iterator[str]:
    if disk is None:
        yield from ("?",) * 5
        return
    yield ", ".join(disk.names)
    yield disk.model or "?"
    yield health(disk)
    yield temperature(disk)
    yield "?" if disk.powered_on_h is None else f"{disk.powered_on_h / _HOURS_A_YEAR:.1f} years"


def health(disk: DiskHealth) -> str:
    """What it says of itself, in one word."""
    return _WORDS[disk.fails]


def temperature(disk: DiskHealth) -> str:
    return "?" if disk.temperature_c is None else f"{disk.temperature_c} \N{DEGREE SIGN}C"


def as_dict(found: list[tuple[str, Drive]]) -> dict[str, Any]:
    """For --json. disk: null where it is not known."""
    disks = [
        {"host": host, "drive": drive.path, "disk": drive.disk and drive.disk.model_dump(mode="json")}
        for host, drive in found
    ]
    return {"version": 1, "disks": disks}
