"""What lies on the drives of the farm: sums by class, drive, host, pool or month, and lists of files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from common.errors import ExitCode, OrderRefused, PlotmanError
from common.model.inventory import DriveRow, FileRow, InventoryPage, SumRow
from common.model.plot_class import ClassSum, InventorySums
from common.model.plots_in_words import class_text, pool_text
from common.model.snapshot import HarvesterSnapshot
from common.model.units import counted, human_bytes
from common.names import INVENTORY, Role
from plotman.control.farm import FarmState, NoSuchHost
from plotman.control.queries.tables import PlainTable
from plotman.control.rpc import NoAnswer, TaskCall, ask_each, hosts_of, unreadable

_ANSWER_S = 20.0
_MOST_PAGES = 5_000  # of one host: 5 million files
# Of one host: a hundred drives with five classes made in a hundred months. Each row costs a kB of memory.
_MOST_SUMS = 50_000

# By host, why nothing or not all of it is known.
Missing = dict[str, str]


class NoSuchDrive(PlotmanError):
    """No harvester has this drive."""

    exit_code = ExitCode.NOTHING


class By(StrEnum):
    """What makes a row of the table."""

    CLASS = "class"
    DRIVE = "drive"
    HOST = "host"
    POOL = "pool"
    MONTH = "month"


@dataclass(frozen=True)
class Part:
    """Plots of one class on a host; drive and month are None where they were not asked for."""

    host: str
    sums: ClassSum
    drive: str | None = None
    month: str | None = None


@dataclass(frozen=True)
class HostInventory:
    """How far a host's inventory is. listed, read: files. silent: its last snapshot counts."""

    host: str
    listed: int
    read: int
    faults: int
    fault_bytes: int
    duplicates: int
    silent: bool = False

    @property
    def progress(self) -> str | None:
        """While files are still to be read: `read 12,345 of 20,000 files`."""
        return f"read {self.read:,} of {self.listed:,} files" if self.read < self.listed else None


@dataclass(frozen=True)
class FarmInventory:
    """parts: of all hosts. drives: (host, drive), only if the hosts were asked."""

    parts: tuple[Part, ...]
    hosts: tuple[HostInventory, ...]
    drives: tuple[tuple[str, DriveRow], ...] = ()
    missing: Missing = field(default_factory=dict)

    @property
    def plots(self) -> int:
        return sum(part.sums.plots for part in self.parts)

    @property
    def bytes(self) -> int:
        return sum(part.sums.bytes for part in self.parts)

    @property
    def faults(self) -> int:
        return sum(host.faults for host in self.hosts)

    @property
    def duplicates(self) -> int:
        """Plots that one host has in several files; copies on two hosts are not known."""
        return sum(host.duplicates for host in self.hosts)


def by_snapshots(farm: FarmState) -> FarmInventory:
    """The sums of the snapshots, without drives and months."""
    parts, hosts, missing = [], [], {}
    for host, snapshot in sorted(farm.harvesters.items()):
        sums = snapshot.inventory
        silent = (Role.HARVESTER, host) in farm.stale
        if sums is None:
            missing[host] = _why_none(farm, snapshot)
            continue
        parts += [Part(host, one) for one in (*sums.classes, *([sums.others] if sums.others else []))]
        hosts.append(_host_inventory(host, sums, silent))
    return FarmInventory(tuple(parts), tuple(hosts), missing=missing)


def _why_none(farm: FarmState, snapshot: HarvesterSnapshot) -> str:
    if (Role.HARVESTER, snapshot.host) in farm.stale:
        return f"the harvester is {farm.absence(Role.HARVESTER, snapshot.host)}"
    return "it has no inventory yet. An older plotman keeps none: upgrade it"


def _host_inventory(host: str, sums: InventorySums, silent: bool) -> HostInventory:
    return HostInventory(host, sums.listed, sums.read, sums.faults, sums.fault_bytes, sums.duplicates, silent)


def ask_sums(host: str | None, drive: str | None) -> FarmInventory:
    """Ask the harvesters for their sums by drive and month.

    Args:
        host: only this one; None: all.
        drive: only this one; None: all.

    Raises:
        NoSuchHost, NoSuchDrive, BrokerError.
        NoAnswer: no harvester answers.
    """
    alive, missing = harvesters(host)
    parts: list[Part] = []
    hosts: list[HostInventory] = []
    drives: list[tuple[str, DriveRow]] = []
    lacking: dict[str, PlotmanError] = {}
    asked = {"what": InventoryPage.SUMS.value} | _of_drive(drive)
    for name, answers in pages(dict.fromkeys(alive, asked), missing, lacking):
        count = 0
        for number, answer in enumerate(answers):
            rows = [SumRow.model_validate(row) for row in answer["sums"][: _MOST_SUMS - count]]
            count += len(rows)
            parts += [Part(name, row, row.drive, row.month) for row in rows]
            if number == 0:
                found = [DriveRow.model_validate(row) for row in answer["drives"]]
                drives += [(name, row) for row in found]
                hosts.append(_by_drives(name, found, answer["duplicates"] if drive is None else 0))
            if count >= _MOST_SUMS:
                missing[name] = f"only its first {_MOST_SUMS:,} sums are counted"
                break
    _must_have(drive, lacking, hosts, missing)
    return FarmInventory(tuple(parts), tuple(hosts), tuple(drives), missing)


def _by_drives(host: str, drives: Sequence[DriveRow], duplicates: int) -> HostInventory:
    counting = [row for row in drives if row.counts]
    return HostInventory(
        host,
        sum(row.listed for row in counting),
        sum(row.read for row in counting),
        sum(row.faults for row in counting),
        sum(row.fault_bytes for row in counting),
        duplicates,
    )


def ask_files(
    host: str | None, drive: str | None, missing: Missing, faults: bool
) -> Iterator[tuple[str, FileRow]]:
    """Yield (host, file) page by page. Arguments and errors as of `ask_sums`.

    missing: gets the hosts that do not answer. faults: files that are no whole plots; else those with plots.
    """
    alive, silent = harvesters(host)
    missing |= silent
    what = InventoryPage.FAULTS if faults else InventoryPage.FILES
    lacking: dict[str, PlotmanError] = {}
    answered: list[str] = []
    asked = {"what": what.value} | _of_drive(drive)
    for name, answers in pages(dict.fromkeys(alive, asked), missing, lacking):
        answered.append(name)
        for answer in answers:
            yield from ((name, FileRow.model_validate(row)) for row in answer["files"])
    _must_have(drive, lacking, answered, missing)


def _of_drive(drive: str | None) -> dict[str, Any]:
    return {} if drive is None else {"drive": drive}


def harvesters(host: str | None) -> tuple[list[str], Missing]:
    """Return the live harvesters, and why others are missing. Raises NoSuchHost, NoAnswer."""
    alive, meant = hosts_of(Role.HARVESTER, host)
    if not alive:
        raise NoAnswer("No harvester answers.", f"Start `plotman up` there ({', '.join(meant)}).")
    return alive, {name: "the harvester is silent" for name in meant if name not in alive}


def _must_have(
    drive: str | None, lacking: Mapping[str, PlotmanError], answered: Sequence[object], missing: Missing
) -> None:
    """Raise if no host has the drive, or none answers. Hosts without it are not missing if another has it."""
    if answered:
        return
    if drive is not None and lacking:
        known = " ".join(dict.fromkeys(error.cure for error in lacking.values()))
        raise NoSuchDrive(f"No harvester has the drive {drive}.", known)
    raise NoAnswer("No harvester answers with its inventory: " + "; ".join(missing.values()))


def pages(
    asked: Mapping[str, dict[str, Any]], missing: Missing, lacking: dict[str, PlotmanError]
) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
    """Yield each host that answers, with its pages; all hosts are asked for the first page at once.

    Args:
        asked: by host, arguments of the task.
        missing: gets the hosts that do not answer, or answer what cannot be read.
        lacking: gets the hosts that refuse: they have no such drive.
    """
    calls = [TaskCall(INVENTORY, host, kwargs) for host, kwargs in asked.items()]
    for call, answer in zip(calls, ask_each(calls, timeout_s=_ANSWER_S), strict=True):
        if isinstance(answer, OrderRefused) and "drive" in call.kwargs:
            lacking[call.host] = answer
        elif isinstance(answer, PlotmanError):
            missing[call.host] = str(answer)
        else:
            yield call.host, _following(call, answer, missing)


def _following(call: TaskCall, answer: dict[str, Any], missing: Missing) -> Iterator[dict[str, Any]]:
    """Yield an answer and the pages that follow it, unless the host names a place twice."""
    seen: set[str] = set()
    for _ in range(_MOST_PAGES):
        yield answer
        after = answer["next"]
        if after is None:
            return
        if after in seen:
            missing[call.host] = str(unreadable(call))
            return
        seen.add(after)
        asked = TaskCall(INVENTORY, call.host, {**call.kwargs, "after": after})
        (following,) = ask_each([asked], timeout_s=_ANSWER_S)
        if isinstance(following, PlotmanError):
            missing[call.host] = str(following)
            return
        answer = following
    missing[call.host] = f"only its first {_MOST_PAGES} pages are shown"


_NAME: dict[By, Callable[[Part], tuple[str, ...]]] = {
    By.CLASS: lambda part: (class_text(part.sums), pool_text(part.sums)),
    By.DRIVE: lambda part: (part.host, part.drive or "?"),
    By.HOST: lambda part: (part.host,),
    By.POOL: lambda part: (pool_text(part.sums),),
    By.MONTH: lambda part: (part.month or "not known",),
}
_HEADS = {
    By.CLASS: ("class", "pool"),
    By.DRIVE: ("host", "drive"),
    By.HOST: ("host",),
    By.POOL: ("pool",),
    By.MONTH: ("month",),
}


@dataclass(frozen=True)
class Line:
    """A row of the table. name: a cell for each of its first columns. share: of all bytes."""

    name: tuple[str, ...]
    plots: int
    files: int
    bytes: int
    share: float
    sums: ClassSum


def lines(found: FarmInventory, by: By) -> list[Line]:
    """Sum up by class, drive, host, pool or month; months in order, others by bytes, the most first."""
    groups: dict[tuple[str, ...], list[Part]] = {}
    for part in found.parts:
        groups.setdefault(_NAME[by](part), []).append(part)
    if by is By.DRIVE:
        for host, row in found.drives:
            groups.setdefault((host, row.drive), [])
    made = [_line(name, parts, found.bytes) for name, parts in groups.items()]
    if by in (By.DRIVE, By.MONTH):
        return sorted(made, key=lambda line: line.name)
    return sorted(made, key=lambda line: (-line.bytes, line.name))


def _line(name: tuple[str, ...], parts: Sequence[Part], all_bytes: int) -> Line:
    size_bytes = sum(part.sums.bytes for part in parts)
    return Line(
        name,
        sum(part.sums.plots for part in parts),
        sum(part.sums.files for part in parts),
        size_bytes,
        size_bytes / all_bytes if all_bytes else 0.0,
        parts[0].sums if parts else ClassSum(format=""),
    )


def table(found: FarmInventory, by: By) -> PlainTable:
    """Make the table, with a line for all."""
    made = lines(found, by)
    rows = [(*line.name, *_figures(line.plots, line.bytes, line.share)) for line in made]
    if len(rows) > 1:
        blank = ("",) * (len(_HEADS[by]) - 1)
        rows.append(("all", *blank, *_figures(found.plots, found.bytes, 1.0)))
    return PlainTable(
        (*_HEADS[by], "plots", "size", "share"),
        tuple(rows),
        right=frozenset({"plots", "size", "share"}),
        spare=("share",),
        paths=frozenset({"drive"}),
    )


def _figures(plots: int, size_bytes: int, share: float) -> tuple[str, str, str]:
    return f"{plots:,}", human_bytes(size_bytes), f"{share:.1%}"


def remarks(found: FarmInventory) -> list[str]:
    """What the table does not say, a sentence each: what is missing, still to be read, or not counted."""
    said = [f"{host} is missing: {why}." for host, why in found.missing.items()]
    for host in found.hosts:
        if host.progress:
            said.append(f"{host.host}: {host.progress} so far.")
        if host.silent:
            said.append(f"{host.host} is silent: this is its last report.")
    for name, row in found.drives:
        if not row.counts and row.files:
            plots = counted(row.plots, "plot")
            said.append(f"{name}:{row.drive} is {row.state}: its {plots}, when last read, are not counted.")
        if row.left_out:
            said.append(f"{name}:{row.drive} has {row.left_out:,} files more than are counted on a drive.")
    return said


def file_text(host: str, file: FileRow) -> tuple[str, str, str]:
    """Cells for a file: its size, what it is, and where it lies."""
    what = class_text(file.plot_class) if file.plot_class else f"no whole plot: {file.reason or 'unknown'}"
    if file.plots > 1:
        what = f"{what}, {counted(file.plots, 'plot')}"
    return human_bytes(file.size_bytes), what, f"{host}:{file.drive}/{file.name}"


def line_json(line: Line, by: By) -> dict[str, Any]:
    named: dict[str, Any] = {}
    if by is By.CLASS:
        named = line.sums.model_dump(mode="json", exclude={"plots", "files", "bytes"})
    elif by is By.POOL:
        named = line.sums.model_dump(mode="json", include={"pool", "pool_key"})
    else:
        named = dict(zip(_HEADS[by], line.name, strict=True))
    figures = {"plots": line.plots, "files": line.files, "bytes": line.bytes, "share": line.share}
    return named | {"name": ", ".join(line.name)} | figures


def as_dict(found: FarmInventory, by: By) -> dict[str, Any]:
    """`plotman inventory --json`; documented in docs/cli.md, keys are only ever added."""
    return {
        "version": 1,
        "by": by.value,
        "plots": found.plots,
        "bytes": found.bytes,
        "rows": [line_json(line, by) for line in lines(found, by)],
        "hosts": [
            {
                "host": one.host,
                "silent": one.silent,
                "listed": one.listed,
                "read": one.read,
                "faults": one.faults,
                "fault_bytes": one.fault_bytes,
                "duplicates": one.duplicates,
            }
            for one in found.hosts
        ],
        "drives": [{"host": host, **row.model_dump(mode="json")} for host, row in found.drives],
        "missing": [{"host": host, "why": why} for host, why in found.missing.items()],
    }


def narrowed(found: FarmInventory, host: str | None) -> FarmInventory:
    """Only this host; None: unchanged. Raises NoSuchHost."""
    if host is None:
        return found
    known = {one.host for one in found.hosts} | set(found.missing)
    if host not in known:
        raise NoSuchHost(
            f"No harvester is called {host}.", f"Harvesters: {', '.join(sorted(known)) or 'none'}."
        )
    return FarmInventory(
        tuple(part for part in found.parts if part.host == host),
        tuple(one for one in found.hosts if one.host == host),
        tuple(pair for pair in found.drives if pair[0] == host),
        {name: why for name, why in found.missing.items() if name == host},
    )
