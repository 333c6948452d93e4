"""The farm for programs (`--json`), and what nobody should overlook, for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from common.model.snapshot import PlotterSnapshot, age_s
from common.model.units import counted, human_bytes, human_duration
from common.names import Role
from plotman.control.farm import FarmState
from plotman.control.queries import holds, scheduler_status

_MOVE_KEYS = {"path", "harvester", "size_bytes", "step", "attempts", "task_id"}


def notes(farm: FarmState) -> list[str]:
    """That nobody decides, silent hosts, stopped plotting, stalled plots, problems: a sentence each."""
    last: dict[Role, dict[str, Any]] = {
        Role.PLOTTER: dict(farm.plotters),
        Role.ARCHIVER: dict(farm.archivers),
        Role.HARVESTER: dict(farm.harvesters),
    }
    undecided = scheduler_status.note(farm)
    found = [undecided] if undecided else []
    for role, host in sorted(farm.stale):
        silent_s = age_s(last[role][host].at, farm.at)
        found.append(f"{role} {host} is silent; its last word is {human_duration(silent_s)} old")
    for snapshot in farm.plotters.values():
        found += _plotter_notes(snapshot)
    found += holds.notes(farm)
    for snapshots in last.values():
        found += [f"{host}: {problem}" for host, said in snapshots.items() for problem in said.problems]
    return list(dict.fromkeys(found))  # roles of a host see the same broker and clock


def _plotter_notes(snapshot: PlotterSnapshot) -> Iterator[str]:
    host, failures = snapshot.host, snapshot.failures
    if not snapshot.plotting:
        yield f"{host} starts no plots: {snapshot.pause_reason}"
    if failures.consecutive >= snapshot.failure_limit:
        yield (
            f"{host} starts no plots: {counted(failures.consecutive, 'plotter')} in a row died at once, "
            f"the last: {failures.last_reason} Mend it, then `plotman unpause plotting --host {host}`"
        )
    if (left := snapshot.leftovers) is not None and left.files:
        where = counted(left.dirs, "directory", "directories")
        yield f"{host}: {human_bytes(left.bytes)} of leftovers in {where}: `plotman cleanup --host {host}`"
    for job in snapshot.jobs:
        if job.stalled:
            yield f"{host}: {job.plotter} pid {job.pid} is stalled: {job.stalled}"


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
        "transfers": [
            {"host": host} | transfer.model_dump(mode="json")
            for host, archiver in farm.archivers.items()
            for transfer in archiver.transfers
        ],
        "moves": [
            {"host": host} | move.model_dump(mode="json", include=_MOVE_KEYS)
            for (host, _), move in farm.moves.items()
        ],
        "plots": [
            {"host": host} | plot.model_dump(mode="json")
            for host, snapshot in farm.plotters.items()
            for plot in snapshot.plots
        ],
        "waits": [wait.model_dump(mode="json") for wait in scheduler_status.waits(farm)],
        "notes": notes(farm),
    }


def dirs_json(farm: FarmState) -> dict[str, Any]:
    """`plotman dirs --json`."""

    def listed(field: str) -> list[dict[str, Any]]:
        return [
            {"host": host} | directory.model_dump(mode="json")
            for host, snapshot in farm.plotters.items()
            for directory in getattr(snapshot, field)
        ]

    return {
        "version": 1,
        "updated": farm.at.isoformat(),
        "tmp": listed("tmp_dirs"),
        "dst": listed("dst_dirs"),
        "drives": [
            {"host": host} | drive.model_dump(mode="json") | {"word": drive.word}
            for host, snapshot in farm.harvesters.items()
            for drive in snapshot.drives
        ],
        "targets": [
            {"host": host} | archiver.target.model_dump(mode="json")
            for host, archiver in farm.archivers.items()
            if archiver.target is not None
        ],
    }
