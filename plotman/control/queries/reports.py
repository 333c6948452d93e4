"""The notes of `status` and `dirs`, and both as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from common.model.plot_name import with_short_ids
from common.model.snapshot import HarvesterSnapshot, Hold, Notice, PlotState, PlotterSnapshot, age_s
from common.model.units import counted, human_bytes, human_duration
from common.names import Role
from plotman.control.farm import FarmState
from plotman.control.queries import evacuations, scheduler_status

NOBODY_YET = (
    "no worker has reported to this broker yet: `plotman up` starts what this machine's plotman.yaml names"
)
_MOVE_KEYS = {"path", "harvester", "size_bytes", "step", "attempts", "task_id"}


def notes(farm: FarmState) -> list[str]:
    """List problems, a sentence each: no scheduler, silent hosts, pauses, stalled plots, and others."""
    last = farm.snapshots
    undecided = scheduler_status.note(farm)
    found = [note for note in (farm.not_running_here, farm.redis_trouble, undecided) if note]
    if not any((*last.values(), farm.spoilt, found)):
        found.append(NOBODY_YET)
    for role, host in sorted(farm.stale if farm.redis_trouble is None else ()):
        ago = f"{human_duration(age_s(last[role][host].at, farm.at))} ago"
        is_stopped = farm.absence(role, host) == "stopped"
        found.append(
            f"{role} {host} was stopped {ago}" if is_stopped else f"{role} {host} is silent; last seen {ago}"
        )
    found += [f"{host}: {sentence}" for host, sentence in farm.spoilt.items()]
    for snapshot in farm.plotters.values():
        found += _plotter_notes(snapshot)
    found += _hold_notes(farm)
    for host, harvester in farm.harvesters.items():
        for entry in harvester.evacuations:
            found.append(f"{host}: {entry.drive}: {evacuations.text(entry, farm.at)}")
            found += [f"{host}: {entry.drive}: {stays}" for stays in entry.stays]
    for snapshots in last.values():
        found += [
            f"{host}: {problem}"
            for host, each in snapshots.items()
            for problem in (*each.full_folders, *each.problems)
        ]
    return list(dict.fromkeys(found))  # several roles of a host report the same problem


def _plotter_notes(snapshot: PlotterSnapshot) -> Iterator[str]:
    host, failures = snapshot.host, snapshot.failures
    if not snapshot.plotting:
        is_paused = snapshot.pause_text.startswith("paused")
        yield f"{host}: {'plotting is ' if is_paused else ''}{snapshot.pause_text}"
    if failures.consecutive >= snapshot.failure_limit:
        yield (
            f"{host}: plotting is stopped: {counted(failures.consecutive, 'plotter')} in a row died at once, "
            f"the last: {failures.last_reason} Fix it, then `plotman unpause plotting --host {host}`"
        )
    if (left := snapshot.leftovers) is not None and left.files:
        where = counted(left.dirs, "directory", "directories")
        yield f"{host}: {human_bytes(left.bytes)} of leftovers in {where}: `plotman cleanup --host {host}`"
    for job in snapshot.jobs:
        if job.stalled:
            yield f"{host}: {job.plotter} pid {job.pid} is stalled: {job.stalled}"
    refused = [plot for plot in snapshot.plots if plot.state is PlotState.REFUSED]
    if refused:
        first, several = refused[0], f"{counted(len(refused), 'plot')} were refused, the first: "
        why = with_short_ids(f"{first.path} was refused: {first.reason or 'no reason is known'}")
        yield f"{host}: {several if refused[1:] else ''}{why}"


def _hold_notes(farm: FarmState) -> Iterator[str]:
    """Describe pauses and drains, with times in the local time of their host."""
    found: list[tuple[PlotterSnapshot | HarvesterSnapshot, Iterator[tuple[str, Hold | None]]]]
    found = [(plotter, _plotter_holds(plotter)) for plotter in farm.plotters.values()]
    found += [(harvester, _drive_holds(harvester)) for harvester in farm.harvesters.values()]
    for snapshot, holds in found:
        for what, hold in holds:
            if hold is not None:
                from common.model.holds import sentence  # late: it imports the messages, and holds are rare

                yield f"{snapshot.host}: {sentence(what, hold, snapshot.at, snapshot.utc_offset_s)}"
    if farm.waits is not None:
        host = farm.waits.beat.partition(":")[0]
        yield from (f"{host}: {problem}" for problem in farm.waits.problems)


def _plotter_holds(snapshot: PlotterSnapshot) -> Iterator[tuple[str, Hold | None]]:
    if snapshot.starts_left:
        text = f"plotting pauses after {counted(snapshot.starts_left, 'more plot')}"
        yield text, snapshot.starts_hold or Hold()
    yield "archiving is paused", snapshot.archiving_paused
    tmp2 = () if snapshot.tmp2 is None else (snapshot.tmp2,)
    for directory in (*snapshot.tmp_dirs, *tmp2, *snapshot.dst_dirs):
        yield f"{directory.path} is drained", directory.drained


def _drive_holds(snapshot: HarvesterSnapshot) -> Iterator[tuple[str, Hold | None]]:
    if snapshot.drained is not None:
        yield "all drives are drained", snapshot.drained
    else:
        evacuated = {entry.drive for entry in snapshot.evacuations}  # has a note of its own
        yield from (
            (f"{drive.path} is drained", drive.drained)
            for drive in snapshot.drives
            if drive.path not in evacuated
        )


def status_json(farm: FarmState) -> dict[str, Any]:
    """`plotman status --json`: documented in docs/cli.md; keys are only ever added."""
    jobs = farm.jobs()
    return {
        "version": 1,
        "updated": farm.at.isoformat(),
        "total_jobs": len(jobs),
        "jobs": [
            {"host": host} | job.model_dump(mode="json") | {"time_wall_s": age_s(job.started_at, farm.at)}
            for host, job in jobs
        ],
        "transfers": _listed(farm.archivers, "transfers"),
        "moves": [
            {"host": host} | move.model_dump(mode="json", include=_MOVE_KEYS)
            for (host, _), move in farm.moves.items()
        ],
        "plots": _listed(farm.plotters, "plots"),
        "waits": [wait.model_dump(mode="json") for wait in scheduler_status.waits(farm)],
        "notes": notes(farm),
    }


def dirs_json(farm: FarmState) -> dict[str, Any]:
    """`plotman dirs --json`."""
    return {
        "version": 1,
        "updated": farm.at.isoformat(),
        "tmp": _with_silent(farm, Role.PLOTTER, _listed(farm.plotters, "tmp_dirs")),
        "dst": _with_silent(farm, Role.PLOTTER, _listed(farm.plotters, "dst_dirs")),
        "drives": [
            {"host": host}
            | drive.model_dump(mode="json")
            | {"word": drive.word, "silent": (Role.HARVESTER, host) in farm.stale}
            | {"evacuation": evacuations.as_dict(snapshot, drive, farm.at)}
            for host, snapshot in farm.harvesters.items()
            for drive in snapshot.drives
        ],
        "transport": transport_json(farm),
        "targets": [
            {"host": host} | archiver.target.model_dump(mode="json")
            for host, archiver in farm.archivers.items()
            if archiver.target is not None
        ],
    }


def transport_json(farm: FarmState) -> list[dict[str, Any]]:
    """List whether messages and plots travel by TLS, for each worker."""
    return [
        {
            "host": host,
            "role": role.value,
            "messages_tls": snapshot.messages_tls,
            "plots_tls": getattr(snapshot, "plots_tls", None),
        }
        for role, snapshots in farm.snapshots.items()
        for host, snapshot in snapshots.items()
    ]


def transport_lines(farm: FarmState) -> list[str]:
    """Say by what messages and plots travel; nothing for a farm of one machine, where they use no network."""
    rows = transport_json(farm)
    if len({row["host"] for row in rows}) < 2:
        return []
    found = []
    for key, what in (("messages_tls", "Messages"), ("plots_tls", "Plots to harvesters")):
        known: dict[bool, dict[str, None]] = {}
        for row in rows:
            if row[key] is not None:
                known.setdefault(row[key], {})[row["host"]] = None
        words = {True: "by TLS", False: "without TLS"}
        texts = [
            words[by_tls] + (f" ({', '.join(hosts)})" if len(known) > 1 else "")
            for by_tls, hosts in sorted(known.items(), reverse=True)
        ]
        if texts:
            found.append(f"{what}: {'; '.join(texts)}")
    return found


def _with_silent(farm: FarmState, role: Role, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add to each row whether the worker of this role on its host is silent: then the row is out of date."""
    return [row | {"silent": (role, row["host"]) in farm.stale} for row in rows]


def _listed(snapshots: Mapping[str, Notice], field: str) -> list[dict[str, Any]]:
    """List what each snapshot has in this field, with its host."""
    return [
        {"host": host} | one.model_dump(mode="json")
        for host, snapshot in snapshots.items()
        for one in getattr(snapshot, field)
    ]
