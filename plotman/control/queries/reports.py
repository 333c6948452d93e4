"""The notes of `status` and `dirs`, and both as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from beat.policy.remedies import Harm, remedy
from common.model.figures import Notice
from common.model.plot_name import with_short_ids
from common.model.replot_report import ReplotState
from common.model.snapshot import HarvesterSnapshot, Hold, PlotState, PlotterSnapshot, RunStatus, age_s
from common.model.units import counted, human_bytes, human_duration
from common.names import Role
from plotman.control.farm import FarmState
from plotman.control.queries import evacuations, scheduler_status
from plotman.control.queries.replot import progress
from plotman.control.selectors import PlotSelection

NOBODY_YET = (
    "no worker has reported to this broker yet: `plotman up` starts what this machine's plotman.yaml names"
)
_MOVE_KEYS = {"path", "harvester", "size_bytes", "step", "attempts", "task_id"}


@dataclass(frozen=True)
class Note:
    """A sentence on the farm or on a host.

    host: whose it is; empty: the farm's. harm: WANTED if an operator asked for what it tells.
    remedy: what to do about it, or how to end it; empty if the sentence says it.
    rule: of beat.policy.remedies, with its subject: a wait by this rule for this subject means the same.
    """

    text: str
    host: str = ""
    harm: Harm = Harm.STOPS
    remedy: str = ""
    rule: str | None = None
    subject: str | None = None

    @classmethod
    def of(cls, host: str, harm: Harm, text: str, rule: str, subject: str | None = None) -> Note:
        """Make a note whose remedy is the one of a rule. subject: as for `remedy`."""
        return cls(f"{host}: {text}", host, harm, remedy(rule, host, subject), rule, subject)


def notes(farm: FarmState) -> list[str]:
    """List the sentences of `noted`."""
    return [note.text for note in noted(farm)]


def noted(farm: FarmState) -> list[Note]:
    """List problems, a sentence each: no scheduler, silent hosts, stalled plots, and others; and what
    operators asked for: pauses, drains, suspended plots."""
    last = farm.snapshots
    undecided = scheduler_status.note(farm)
    whole = [note for note in (farm.not_running_here, farm.redis_trouble, undecided) if note]
    if not any((*last.values(), farm.spoilt, whole)):
        whole.append(NOBODY_YET)
    found = [Note(text) for text in whole]
    for role, host in sorted(farm.stale if farm.redis_trouble is None else ()):
        ago = f"{human_duration(age_s(last[role][host].at, farm.at))} ago"
        word = farm.absence(role, host)
        cure = remedy(word, host)
        if role is Role.PLOTTER and farm.plotters[host].jobs:
            cure += " Its plots continue meanwhile."
        if word == "stopped":
            found.append(Note(f"{role} {host} was stopped {ago}", host, Harm.WANTED, cure))
        else:
            found.append(Note(f"{role} {host} is silent; last seen {ago}", host, Harm.STOPS, cure, word))
    found += [Note.of(host, Harm.STOPS, text, "trouble") for host, text in farm.spoilt.items()]
    for snapshot in farm.plotters.values():
        # Where plotman does not run, no operator has paused it.
        is_off = farm.not_running_here and (snapshot.pause_reason or "?") in farm.not_running_here
        found += _plotter_notes(snapshot.model_copy(update={"plotting": True}) if is_off else snapshot)
    found += _hold_notes(farm)
    for host, harvester in farm.harvesters.items():
        for entry in harvester.evacuations:
            is_lost = entry.left_plots is None
            harm, rule = (Harm.STOPS, "evacuation") if is_lost else (Harm.WANTED, "evacuating")
            text = f"{entry.drive}: {evacuations.text(entry, farm.at)}"
            found.append(Note.of(host, harm, text, rule, entry.drive))
            found += [Note(f"{host}: {entry.drive}: {stays}", host, Harm.FILE) for stays in entry.stays]
    found += _replot_notes(farm)
    for snapshots in last.values():
        for host, each in snapshots.items():
            found += [Note.of(host, Harm.STOPS, text, "full folder") for text in each.full_folders]
            found += [Note(f"{host}: {text}", host, Harm.FILE) for text in each.problems]
    # Several roles of a host report the same problem.
    return list({note.text: note for note in reversed(found)}.values())[::-1]


def _replot_notes(farm: FarmState) -> Iterator[Note]:
    """Orders to replace old plots of which no plot goes. Those that run or wait are in a line of the farm."""
    harms = {
        ReplotState.STOPPED: Harm.STOPS,
        ReplotState.PAUSED: Harm.WANTED,
        ReplotState.DONE: Harm.WANTED,
    }
    for host, report in progress.reports(farm).items():
        if report.state in harms:
            text = f"replot {progress.host_text(report)}"
            yield Note.of(host, harms[report.state], text, f"replot {report.state}")


def _plotter_notes(snapshot: PlotterSnapshot) -> Iterator[Note]:
    host, failures = snapshot.host, snapshot.failures
    if not snapshot.plotting:
        rule = (
            "starts none" if snapshot.paused is None else "drained host" if is_drained(snapshot) else "paused"
        )
        yield Note.of(host, Harm.WANTED, pause_sentence(snapshot), rule)
    if failures.consecutive >= snapshot.failure_limit:
        text = (
            f"{host}: plotting is stopped: {counted(failures.consecutive, 'plotter')} in a row died at once, "
            f"the last: {failures.last_reason} Fix it, then `plotman unpause plotting --host {host}`"
        )
        yield Note(text, host, Harm.STOPS, "", "failures")
    if (left := snapshot.leftovers) is not None and left.files:
        where = counted(left.dirs, "directory", "directories")
        text = f"{host}: {human_bytes(left.bytes)} of leftovers in {where}: `plotman cleanup --host {host}`"
        yield Note(text, host, Harm.FILE)
    for job in snapshot.jobs:
        yield from _job_notes(PlotSelection(host, job))
    refused = [plot for plot in snapshot.plots if plot.state is PlotState.REFUSED]
    if refused:
        first, several = refused[0], f"{counted(len(refused), 'plot')} were refused, the first: "
        plot = first.plot_id[:8] if first.plot_id else first.path
        where = f"{plot} in {first.path.rpartition('/')[0]}" if first.plot_id else plot
        why = with_short_ids(f"{where} was refused: {first.reason or 'no reason is known'}")
        yield Note.of(host, Harm.FILE, f"{several if refused[1:] else ''}{why}", "refused", plot)


def is_drained(snapshot: PlotterSnapshot) -> bool:
    """Whether only a drain of the host as a whole keeps plots from starting there."""
    return snapshot.drained is not None and snapshot.paused == snapshot.drained


def pause_sentence(snapshot: PlotterSnapshot) -> str:
    """`plotting is paused: new fan (anna@desk)`; its own words if the host is drained."""
    text = snapshot.pause_text
    return f"plotting is {text}" if text.startswith("paused") else text


def _job_notes(plot: PlotSelection) -> Iterator[Note]:
    """A plot that waits without end; and one that is suspended, which its plotter or an operator did."""
    host, job = plot.host, plot.job
    is_suspended = job.status is RunStatus.STOPPED
    if job.stalled:
        text = f"{job.plotter} pid {job.pid} is stalled: {job.stalled}"
        note = Note.of(host, Harm.FILE, text, "stalled", plot.name)
        resume = f" {remedy('suspended', host, plot.name)}" if is_suspended else ""
        yield replace(note, remedy=f"{note.remedy}{resume}")
    elif is_suspended:
        where = f" in {job.tmp}" if job.tmp else ""
        yield Note.of(host, Harm.WANTED, f"plot {plot.name}{where} is suspended", "suspended", plot.name)


def _hold_notes(farm: FarmState) -> Iterator[Note]:
    """Describe pauses and drains, with times in the local time of their host."""
    found: list[tuple[PlotterSnapshot | HarvesterSnapshot, Iterator[NotedHold]]]
    found = [(plotter, plotter_holds(plotter)) for plotter in farm.plotters.values()]
    found += [(harvester, drive_holds(harvester)) for harvester in farm.harvesters.values()]
    for snapshot, holds in found:
        for what, hold, rule, subject in holds:
            if hold is not None:
                from common.model.holds import sentence  # late: it imports the messages, and holds are rare

                text = sentence(what, hold, snapshot.at, snapshot.utc_offset_s)
                yield Note.of(snapshot.host, Harm.WANTED, text, rule, subject)
    if farm.waits is not None:
        host = farm.waits.beat.partition(":")[0]
        yield from (Note(f"{host}: {problem}", host, Harm.FILE) for problem in farm.waits.problems)


# What is held, the hold, and the rule and subject of its remedy.
NotedHold = tuple[str, Hold | None, str, str | None]


def plotter_holds(snapshot: PlotterSnapshot) -> Iterator[NotedHold]:
    if snapshot.starts_left:
        text = f"plotting pauses after {counted(snapshot.starts_left, 'more plot')}"
        yield text, snapshot.starts_hold or Hold(), "paused", None
    if not is_drained(snapshot):  # else that is what stops plotting, and has a note of its own
        yield "the host is drained", snapshot.drained, "drained host", None
    yield "archiving is paused", snapshot.archiving_paused, "archiving paused", None
    tmp2 = () if snapshot.tmp2 is None else (snapshot.tmp2,)
    for directory in (*snapshot.tmp_dirs, *tmp2, *snapshot.dst_dirs):
        yield f"{directory.path} is drained", directory.drained, "drained", directory.path


def drive_holds(snapshot: HarvesterSnapshot) -> Iterator[NotedHold]:
    if snapshot.drained is not None:
        yield "all drives are drained", snapshot.drained, "drained host", None
    else:
        evacuated = {entry.drive for entry in snapshot.evacuations}  # has a note of its own
        yield from (
            (f"{drive.path} is drained", drive.drained, "drained", drive.path)
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
