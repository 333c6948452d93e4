"""The tasks that a key calls, and the question before. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from common import names
from common.errors import PlotmanError
from common.model import holds
from common.model.snapshot import DriveUse, Job, PlotterSnapshot, RunStatus
from common.model.units import counted, human_bytes
from common.names import Role
from plotman.control.farm import FarmState
from plotman.control.rpc import TaskCall
from plotman.dashboard.model import RowKind, RowSubject
from plotman.dashboard.panes.machines import hosts_of

_REASON = "in the dashboard"
_FILES_SHOWN = 20
_KEPT = frozenset({names.PAUSE, names.DRAIN, names.DRAIN_DRIVES})  # until an operator undoes them


class NotApplicable(PlotmanError):
    """The key has nothing to act on."""


@dataclass(frozen=True)
class Proposal:
    """what: "suspend plot 6b4e7375 on p1". confirm: lines of the question before; None: without a question.
    times: how often Yes must be answered. timeout_s: for the answers."""

    what: str
    calls: tuple[TaskCall, ...]
    confirm: tuple[str, ...] | None = None
    times: int = 1
    timeout_s: float = 15.0


def job_of(farm: FarmState, subject: RowSubject | None) -> tuple[str, Job]:
    """The host and the running plot under the cursor. Raises NotApplicable."""
    if subject is None or subject.kind is not RowKind.JOB:
        raise NotApplicable("Choose a running plot first.", "Up and down choose one in table 1.")
    plotter = farm.plotters.get(subject.host)
    job = next((job for job in (plotter.jobs if plotter else ()) if job.task_id == subject.what), None)
    if job is None:
        raise NotApplicable("That plot is no longer running.")
    return subject.host, job


def name_of(host: str, job: Job) -> str:
    return f"plot {job.plot_id[:8]} on {host}" if job.plot_id else f"the plot of pid {job.pid} on {host}"


def suspend(farm: FarmState, subject: RowSubject | None) -> Proposal:
    host, job = job_of(farm, subject)
    if job.status is RunStatus.STOPPED:
        raise NotApplicable(f"{name_of(host, job)} is suspended already.", "r resumes it.")
    return Proposal(f"suspend {name_of(host, job)}", (_about(names.SUSPEND, host, job),))


def resume(farm: FarmState, subject: RowSubject | None) -> Proposal:
    host, job = job_of(farm, subject)
    return Proposal(f"resume {name_of(host, job)}", (_about(names.RESUME, host, job),))


def files(farm: FarmState, subject: RowSubject | None) -> TaskCall:
    """The call that lists the files that a kill would delete."""
    return _about(names.FILES, *job_of(farm, subject))


def _about(task: str, host: str, job: Job) -> TaskCall:
    return TaskCall(task, host, {"plot": job.task_id})


def kill(farm: FarmState, subject: RowSubject | None, answer: dict[str, Any]) -> Proposal:
    """answer: the host's answer to `files`."""
    host, job = job_of(farm, subject)
    found = answer.get("files", [])
    freed = sum(file["allocated_bytes"] for file in found)
    verb = "is" if len(found) == 1 else "are"
    lines = ["There are no unfinished files to delete."]
    if found:
        lines = [f"{counted(len(found), 'unfinished file')}, {human_bytes(freed)}, {verb} deleted:"]
    folder = None
    for file in found[:_FILES_SHOWN]:
        path = PurePath(file["path"])
        if folder != path.parent:
            folder = path.parent
            lines.append(f"in {folder}:")
        name = path.name.replace(job.plot_id, f"{job.plot_id[:8]}…") if job.plot_id else path.name
        lines.append(f"  {name}  {human_bytes(file['size_bytes'])}")
    if len(found) > _FILES_SHOWN:
        lines.append(f"  and {len(found) - _FILES_SHOWN} more")
    lines += [f"It is kept: {path}" for path in answer.get("finished", [])]
    lines += list(answer.get("troubles", []))
    if not job.ours:
        lines.insert(0, "plotman did not start this plot.")
    calls = (_about(names.KILL, host, job),)
    return Proposal(f"kill {name_of(host, job)}", calls, tuple(lines), times=2, timeout_s=60.0)


def toggle_plotting(farm: FarmState, host: str | None) -> Proposal:
    """Pause the plotters in view; unpause them if all are paused."""
    plotters = _answering(farm, host)
    active = [plotter.host for plotter in plotters if plotter.plotting]
    if active:
        return _asked(_each("pause plotting", names.PAUSE, active, reason=_REASON), farm, host)
    return _each("unpause plotting", names.UNPAUSE, [plotter.host for plotter in plotters])


def _answering(farm: FarmState, host: str | None) -> list[PlotterSnapshot]:
    """The plotters in view, without silent ones: their state is unknown, and no answer would come. Raises
    NotApplicable if there is none."""
    in_view = [plotter for name, plotter in farm.plotters.items() if host in (None, name)]
    plotters = [plotter for plotter in in_view if (Role.PLOTTER, plotter.host) not in farm.stale]
    if not plotters:
        raise NotApplicable("No plotter answers here." if in_view else "There is no plotter here.")
    return plotters


def bandwidth(farm: FarmState, host: str | None, bytes_s: int | None) -> Proposal:
    """bytes_s: bytes per second of all transfers together; 0: no limit, None: the limit of plotman.yaml."""
    hosts = [name for name in farm.archivers if host in (None, name)]
    if not hosts:
        raise NotApplicable("No host here sends plots.")
    extra = {} if bytes_s is None else {"bytes_s": bytes_s}
    words = {None: "as plotman.yaml says", 0: "off"}.get(bytes_s, f"{human_bytes(bytes_s or 0)}/s")
    return _each(f"set the bandwidth limit: {words},", names.BANDWIDTH, hosts, **extra)


def _each(text: str, task: str, hosts: Sequence[str], **kwargs: Any) -> Proposal:
    """One host without a question, several after one."""
    calls = tuple(TaskCall(task, host, kwargs) for host in hosts)
    confirm = None if len(hosts) == 1 else (f"{len(hosts)} machines: {', '.join(hosts)}",)
    return Proposal(f"{text} on {_list(hosts)}", calls, confirm)


def _asked(proposal: Proposal, farm: FarmState, host: str | None) -> Proposal:
    """The same, with a question if several machines are in view, even if only one of them is to pause."""
    if host is not None or len(hosts_of(farm)) == 1:
        return proposal
    hosts = [call.host for call in proposal.calls]
    lines = (f"{counted(len(hosts), 'machine')}: {', '.join(hosts)}", "Running plots and transfers continue.")
    return replace(proposal, confirm=lines)


def with_author(proposal: Proposal, by: str | None) -> Proposal:
    """The same, with its author for the holds that hosts keep. by: `user@machine`."""
    if by is None:
        return proposal
    calls = tuple(
        replace(call, kwargs={**call.kwargs, "by": by}) if call.task in _KEPT else call
        for call in proposal.calls
    )
    return replace(proposal, calls=calls)


def _list(hosts: Sequence[str]) -> str:
    return hosts[0] if len(hosts) == 1 else f"{len(hosts)} machines"


def outcome(proposal: Proposal, answers: Iterable[Any]) -> tuple[list[str], list[str]]:
    """(done, failed): a sentence for each answer."""
    done, failed = [], []
    for call, answer in zip(proposal.calls, answers, strict=True):
        if isinstance(answer, PlotmanError):
            failed.append(f"{call.host}: {answer}")
        elif isinstance(answer, str):
            done.append(answer)
        elif isinstance(answer, dict) and "answer" in answer:
            done.append(str(answer["answer"]))
        else:
            freed = answer.get("freed_bytes") if isinstance(answer, dict) else None
            done.append(f"done: {proposal.what}" + (f", {human_bytes(freed)} freed" if freed else ""))
    return done, failed


def toggle_archiving(farm: FarmState, host: str | None) -> Proposal:
    """Pause archiving of the plotters in view; unpause it if all are paused."""
    plotters = [plotter for plotter in _answering(farm, host) if plotter.archiving]
    if not plotters:
        raise NotApplicable("No plotter here archives.", "plotman.yaml has no archiving section there.")
    active = [plotter.host for plotter in plotters if plotter.archiving_paused is None]
    if active:
        return _asked(
            _each("pause archiving", names.PAUSE, active, what=holds.ARCHIVING, reason=_REASON), farm, host
        )
    hosts = [plotter.host for plotter in plotters]
    return _each("unpause archiving", names.UNPAUSE, hosts, what=holds.ARCHIVING)


def toggle_drain(farm: FarmState, subject: RowSubject | None) -> Proposal:
    """Drain the folder, drive or machine; undrain it if it is drained."""
    if subject is None or subject.kind not in (RowKind.TMP, RowKind.DST, RowKind.DRIVE, RowKind.HOST):
        raise NotApplicable("Choose a tmp, dst, drive or machine first.", "Keys: 2, 3, 4 or 7.")
    if subject.kind is RowKind.HOST:
        return _drain_host(farm, subject.host)
    if subject.kind is RowKind.DRIVE:
        harvester = farm.harvesters.get(subject.host)
        found = next((d for d in (harvester.drives if harvester else ()) if d.path == subject.what), None)
        if found is None:
            raise NotApplicable("That is no drive of a harvester.", "Only a harvester can drain its drives.")
        if found.use is DriveUse.DRAINING and found.drained is None:
            raise NotApplicable(f"{subject.what} is drained by plotman.yaml.", "Change harvester.draining.")
        pair = (names.DRAIN_DRIVES, names.UNDRAIN_DRIVES)
        return _drain(pair, subject.host, subject.what, found.drained is not None)
    plotter = farm.plotters.get(subject.host)
    folders = (*plotter.tmp_dirs, *plotter.dst_dirs) if plotter else ()
    drained = any(folder.path == subject.what and folder.drained for folder in folders)
    return _drain((names.DRAIN, names.UNDRAIN), subject.host, subject.what, drained)


def _drain(pair: tuple[str, str], host: str, path: str, drained: bool) -> Proposal:
    if drained:
        return Proposal(f"undrain {host}:{path}", (TaskCall(pair[1], host, {"dir": path}),))
    return Proposal(f"drain {host}:{path}", (TaskCall(pair[0], host, {"dir": path, "reason": _REASON}),))


def _drain_host(farm: FarmState, host: str) -> Proposal:
    """As plotter and as harvester."""
    plotter, harvester = farm.plotters.get(host), farm.harvesters.get(host)
    pairs = [(names.DRAIN, names.UNDRAIN)] if plotter else []
    pairs += [(names.DRAIN_DRIVES, names.UNDRAIN_DRIVES)] if harvester else []
    if not pairs:
        raise NotApplicable(f"{host} takes no plots.")
    drained = harvester.drained if harvester else plotter.drained if plotter else None
    if drained is not None:
        calls = tuple(TaskCall(undrain, host, {}) for _, undrain in pairs)
        return Proposal(f"undrain {host}", calls)
    calls = tuple(TaskCall(drain, host, {"reason": _REASON}) for drain, _ in pairs)
    lines = (
        "No plot starts there or is sent there any more. Running plots finish; finished plots move away.",
    )
    return Proposal(f"drain {host}", calls, lines)
