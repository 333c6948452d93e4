"""What a key asks of the farm: tasks, and what the person is asked before. Pure."""

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

_REASON = "paused in the dashboard"
_DRAINED = "drained in the dashboard"
_FILES_SHOWN = 20
_KEPT = frozenset({names.PAUSE, names.DRAIN, names.DRAIN_DRIVES})  # until a person says otherwise


class Pointless(PlotmanError):
    """There is nothing there that the key could do."""


@dataclass(frozen=True)
class Proposal:
    """what: for people, "suspend plot 6b4e7375 on p1". ask: lines to show first; None: it is done at once.
    times: how often a person has to agree."""

    what: str
    questions: tuple[TaskCall, ...]
    ask: tuple[str, ...] | None = None
    times: int = 1
    timeout_s: float = 15.0


def job_of(farm: FarmState, target: RowSubject | None) -> Job:
    """The plot in the making under the cursor. Raises Pointless."""
    if target is None or target.kind is not RowKind.JOB:
        raise Pointless("Choose a plot in the making first.", "Keys: 1, then up and down.")
    plotter = farm.plotters.get(target.host)
    job = next((job for job in (plotter.jobs if plotter else ()) if job.task_id == target.what), None)
    if job is None:
        raise Pointless("That plot is no longer in the making.")
    return job


def name_of(job: Job, host: str) -> str:
    return f"plot {job.plot_id[:8]} on {host}" if job.plot_id else f"the plot of pid {job.pid} on {host}"


def suspend(farm: FarmState, target: RowSubject | None) -> Proposal:
    job = job_of(farm, target)
    assert target is not None
    if job.status is RunStatus.STOPPED:
        raise Pointless(f"{name_of(job, target.host)} is suspended already.", "r resumes it.")
    return _about(names.SUSPEND, "suspend", job, target)


def resume(farm: FarmState, target: RowSubject | None) -> Proposal:
    job = job_of(farm, target)
    assert target is not None
    return _about(names.RESUME, "resume", job, target)


def _about(task: str, verb: str, job: Job, target: RowSubject) -> Proposal:
    question = TaskCall(task, target.host, {"plot": job.task_id})
    return Proposal(f"{verb} {name_of(job, target.host)}", (question,))


def files(farm: FarmState, target: RowSubject | None) -> TaskCall:
    """What would go with the plot."""
    job = job_of(farm, target)
    assert target is not None
    return TaskCall(names.FILES, target.host, {"plot": job.task_id})


def kill(farm: FarmState, target: RowSubject | None, answer: dict[str, Any]) -> Proposal:
    """answer: of the host to `files`."""
    job = job_of(farm, target)
    assert target is not None
    found = answer.get("files", [])
    freed = sum(file["allocated_bytes"] for file in found)
    verb = "is" if len(found) == 1 else "are"
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
    lines += [f"It stays: {path}" for path in answer.get("finished", [])]
    lines += list(answer.get("troubles", []))
    if not job.ours:
        lines.insert(0, "plotman did not start this plot.")
    question = TaskCall(names.KILL, target.host, {"plot": job.task_id})
    what = f"kill {name_of(job, target.host)}"
    return Proposal(what, (question,), tuple(lines), times=2, timeout_s=60.0)


def toggle_plotting(farm: FarmState, host: str | None) -> Proposal:
    """Pause the plotters in view, or where all of them are paused, let them start again."""
    plotters = _answering(farm, host)
    active = [plotter.host for plotter in plotters if plotter.plotting]
    if active:
        return _each("pause plotting", names.PAUSE, active, reason=_REASON)
    return _each("start plots again", names.UNPAUSE, [plotter.host for plotter in plotters])


def _answering(farm: FarmState, host: str | None) -> list[PlotterSnapshot]:
    """The plotters in view; one that is silent would be waited for, and nobody knows what it does. Raises
    Pointless where there is none."""
    seen = [plotter for name, plotter in farm.plotters.items() if host in (None, name)]
    plotters = [plotter for plotter in seen if (Role.PLOTTER, plotter.host) not in farm.stale]
    if not plotters:
        raise Pointless("No plotter answers here." if seen else "There is no plotter here.")
    return plotters


def bandwidth(farm: FarmState, host: str | None, bytes_s: int | None) -> Proposal:
    """bytes_s: 0: no limit; None: as plotman.yaml says."""
    hosts = [name for name in farm.archivers if host in (None, name)]
    if not hosts:
        raise Pointless("Nobody sends plots from here.")
    extra = {} if bytes_s is None else {"bytes_s": bytes_s}
    words = {None: "as plotman.yaml says", 0: "off"}.get(bytes_s, f"{human_bytes(bytes_s or 0)}/s")
    return _each(f"set the bandwidth limit: {words},", names.BANDWIDTH, hosts, **extra)


def _each(text: str, task: str, hosts: Sequence[str], **kwargs: Any) -> Proposal:
    """One machine is told at once; before several are, the person is asked."""
    questions = tuple(TaskCall(task, host, kwargs) for host in hosts)
    ask = None if len(hosts) == 1 else (f"{len(hosts)} machines: {', '.join(hosts)}",)
    return Proposal(f"{text} on {_list(hosts)}", questions, ask)


def signed(proposal: Proposal, by: str | None) -> Proposal:
    """The same, with who says so, where the hosts keep that. by: `user@machine`."""
    if by is None:
        return proposal
    questions = tuple(
        replace(question, kwargs={**question.kwargs, "by": by}) if question.task in _KEPT else question
        for question in proposal.questions
    )
    return replace(proposal, questions=questions)


def _list(hosts: Sequence[str]) -> str:
    return hosts[0] if len(hosts) == 1 else f"{len(hosts)} machines"


def outcome(proposal: Proposal, answers: Iterable[Any]) -> tuple[list[str], list[str]]:
    """What was done, and what was not and why, a sentence each."""
    done, failed = [], []
    for question, answer in zip(proposal.questions, answers, strict=True):
        if isinstance(answer, PlotmanError):
            failed.append(f"{question.host}: {answer}")
        elif isinstance(answer, str):
            done.append(answer)
        elif isinstance(answer, dict) and "answer" in answer:
            done.append(str(answer["answer"]))
        else:
            freed = answer.get("freed_bytes") if isinstance(answer, dict) else None
            done.append(f"done: {proposal.what}" + (f", {human_bytes(freed)} freed" if freed else ""))
    return done, failed


def toggle_archiving(farm: FarmState, host: str | None) -> Proposal:
    """Begin no more transfers from the plotters in view, or where none begins any, let them begin again."""
    plotters = [plotter for plotter in _answering(farm, host) if plotter.archiving]
    if not plotters:
        raise Pointless("Nothing is archived from here.", "plotman.yaml has no archiving section there.")
    active = [plotter.host for plotter in plotters if plotter.archiving_paused is None]
    if active:
        return _each("pause archiving", names.PAUSE, active, what=holds.ARCHIVING, reason=_REASON)
    hosts = [plotter.host for plotter in plotters]
    return _each("let plots move again", names.UNPAUSE, hosts, what=holds.ARCHIVING)


def toggle_drain(farm: FarmState, target: RowSubject | None) -> Proposal:
    """Let the folder, drive or machine take nothing new; or end that."""
    if target is None or target.kind not in (RowKind.TMP, RowKind.DST, RowKind.DRIVE, RowKind.HOST):
        raise Pointless("Choose a tmp or dst directory, a drive or a machine first.", "Keys: 2, 3, 4 or 7.")
    if target.kind is RowKind.HOST:
        return _drain_host(farm, target.host)
    if target.kind is RowKind.DRIVE:
        harvester = farm.harvesters.get(target.host)
        found = next((d for d in (harvester.drives if harvester else ()) if d.path == target.what), None)
        if found is None:
            raise Pointless("That is no drive of a harvester.", "Only a harvester can drain its drives.")
        if found.use is DriveUse.DRAINING and found.drained is None:
            raise Pointless(f"{target.what} is drained by plotman.yaml.", "Change harvester.draining there.")
        pair = (names.DRAIN_DRIVES, names.UNDRAIN_DRIVES)
        return _drain(pair, target.host, target.what, found.drained is not None)
    plotter = farm.plotters.get(target.host)
    folders = (*plotter.tmp_dirs, *plotter.dst_dirs) if plotter else ()
    drained = any(folder.path == target.what and folder.drained for folder in folders)
    return _drain((names.DRAIN, names.UNDRAIN), target.host, target.what, drained)


def _drain(pair: tuple[str, str], host: str, path: str, drained: bool) -> Proposal:
    if drained:
        return Proposal(f"let {host}:{path} take plots again", (TaskCall(pair[1], host, {"dir": path}),))
    kwargs = {"dir": path, "reason": _DRAINED}
    return Proposal(f"drain {host}:{path}", (TaskCall(pair[0], host, kwargs),))


def _drain_host(farm: FarmState, host: str) -> Proposal:
    """In all that it does."""
    plotter, harvester = farm.plotters.get(host), farm.harvesters.get(host)
    pairs = [(names.DRAIN, names.UNDRAIN)] if plotter else []
    pairs += [(names.DRAIN_DRIVES, names.UNDRAIN_DRIVES)] if harvester else []
    if not pairs:
        raise Pointless(f"{host} takes no plots.")
    drained = harvester.drained if harvester else plotter.drained if plotter else None
    if drained is not None:
        questions = tuple(TaskCall(undrain, host, {}) for _, undrain in pairs)
        return Proposal(f"let {host} take plots again", questions)
    questions = tuple(TaskCall(drain, host, {"reason": _DRAINED}) for drain, _ in pairs)
    lines = ("No plots start there, none is destined or sent there; what runs ends, what lies there leaves.",)
    return Proposal(f"drain {host}", questions, lines)
