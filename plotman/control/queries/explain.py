"""Answers of `plotman why`: for each host, directory, plot and drive, what happens or why it waits. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from beat.policy.load import Load
from beat.policy.start_tokens import is_due
from beat.policy.starts import tmp_rules
from common.model.clock import wrong_clock
from common.model.disk_usage import above_margin, trimmed
from common.model.holds import sentence
from common.model.pending import PendingMove, under_way
from common.model.plot_name import plot_id_of
from common.model.replot_report import ReplotReport, ReplotState
from common.model.snapshot import (
    DirState,
    Drive,
    DriveUse,
    FinishedPlot,
    HarvesterSnapshot,
    Job,
    PlotState,
    PlotterSnapshot,
    RunStatus,
    TmpDir,
    Transfer,
    Wait,
    age_s,
)
from common.model.units import counted, human_bytes, human_duration
from common.names import Role
from plotman.control.queries import evacuations
from plotman.control.queries.eta import expected
from plotman.control.queries.replot.progress import host_text
from plotman.control.queries.reports import is_drained, plotter_holds
from plotman.control.queries.why import FarmPicture, WhyAnswer

_RECENT_S = 60.0  # a start within this time is mentioned


def explain(seen: FarmPicture) -> Iterator[WhyAnswer]:
    """Yield host by host: the host, its tmp and other directories, running and finished plots; then the
    drives."""
    for host, text in seen.farm.spoilt.items():
        yield WhyAnswer(host, "host", None, text, "trouble")
    for host, text in seen.farm.full_folders().items():
        yield WhyAnswer(host, "host", None, text, "full folder")
    for host, skew_s in seen.farm.clock_skews().items():
        if (wrong := wrong_clock(skew_s)) is not None:
            yield WhyAnswer(host, "host", None, f"its clock is {wrong}", "clock", {"skew_s": skew_s})
    for host, snapshot in sorted(seen.farm.plotters.items()):
        if (Role.PLOTTER, host) in seen.farm.stale:
            yield _silent(seen, host, snapshot)
            continue
        yield from _host(seen, snapshot)
        for tmp in snapshot.tmp_dirs:
            yield from _tmp(seen, snapshot, tmp)
        yield from _other_directories(snapshot)
        yield from (_job(host, job) for job in snapshot.jobs)
        yield from (_plot(seen, snapshot, plot) for plot in snapshot.plots)
    for host, harvester in sorted(seen.farm.harvesters.items()):
        if (Role.HARVESTER, host) in seen.farm.stale:
            yield _silent(seen, host, harvester)
        else:
            yield from (_drive(seen, harvester, drive) for drive in harvester.drives)
            yield from _evacuated(seen, harvester)
            if harvester.replot_report is not None:
                yield _replot(host, harvester.replot_report)


def _silent(seen: FarmPicture, host: str, snapshot: PlotterSnapshot | HarvesterSnapshot) -> WhyAnswer:
    silent_s = age_s(snapshot.at, seen.now)
    role = "plotter" if isinstance(snapshot, PlotterSnapshot) else "harvester"
    if seen.farm.redis_trouble is not None:
        text = f"its {role} does not report, perhaps due to Redis; last seen {human_duration(silent_s)} ago"
        return WhyAnswer(host, "host", None, text, "redis", {"silent_s": silent_s})
    if snapshot.stopped:
        text = f"its {role} was stopped {human_duration(silent_s)} ago"
        return WhyAnswer(host, "host", None, text, "stopped", {"silent_s": silent_s})
    text = f"its {role} is silent; last seen {human_duration(silent_s)} ago"
    return WhyAnswer(host, "host", None, text, "silent", {"silent_s": silent_s})


def _waits(seen: FarmPicture, snapshot: PlotterSnapshot, wait: Wait, kind: str, **more: Any) -> WhyAnswer:
    """Make the answer for a wait. more: further or other fields of it."""
    at, when = expected(wait, snapshot, seen.now)
    is_drain = wait.rule == "paused" and is_drained(snapshot)
    fields: dict[str, Any] = {
        "subject": wait.subject,
        "text": wait.reason,
        "rule": "drained host" if is_drain else wait.rule,
        "numbers": wait.numbers,
        "until": wait.until,
        "expected_at": None if wait.until is not None else at,
        "when": when,
    }
    return WhyAnswer(host=wait.host, kind=kind, **fields | more)


def _host(seen: FarmPicture, snapshot: PlotterSnapshot) -> Iterator[WhyAnswer]:
    host = snapshot.host
    # Waits beside starts that no scheduler orders already count these starts.
    would_start = any(start.host == host for start in seen.starts)
    waits = [] if would_start else seen.of(host, None)
    yield from (_waits(seen, snapshot, wait, "host") for wait in waits)
    if not waits:
        text = f"runs {len(snapshot.jobs)} of at most {counted(snapshot.global_max_jobs, 'plot')}"
        yield WhyAnswer(host, "host", None, f"{text}; no rule of the host stops another start")
    for what, hold, rule, subject in plotter_holds(snapshot):
        if hold is not None and subject is None and all(wait.rule != rule for wait in waits):
            text = sentence(what, hold, snapshot.at, snapshot.utc_offset_s)
            yield WhyAnswer(host, "host", None, text, rule, until=hold.until)


def _tmp(seen: FarmPicture, snapshot: PlotterSnapshot, tmp: TmpDir) -> Iterator[WhyAnswer]:
    host = snapshot.host
    names = frozenset({trimmed(tmp.path)})
    if any(start.host == host and start.tmp == tmp.path for start in seen.starts):
        text = "a plot would start now, but no scheduler decides"
        yield WhyAnswer(host, "tmp", tmp.path, text, "no scheduler", names=names)
        return
    recent = _recent_start(seen, snapshot, tmp)
    if recent is not None:
        yield WhyAnswer(host, "tmp", tmp.path, recent, names=names)
    waits = seen.of(host, tmp.path)
    yield from (_waits(seen, snapshot, wait, "tmp", names=names) for wait in waits)
    if waits or recent is not None:
        return
    of_host = seen.of(host, None)
    # While a pause keeps plots from starting, the scheduler does not look at directories.
    if of_host and (own := _refusal(seen, snapshot, tmp)) is not None:
        yield _waits(seen, snapshot, own, "tmp", names=names)
    elif of_host:
        short = "could take a plot, but its host waits"
        texts = {"text": f"{short}: {of_host[0].reason}", "below_host": short}
        yield _waits(seen, snapshot, of_host[0], "tmp", subject=tmp.path, names=names, **texts)
    else:
        yield WhyAnswer(host, "tmp", tmp.path, "no rule stops a start", names=names)


def _refusal(seen: FarmPicture, snapshot: PlotterSnapshot, tmp: TmpDir) -> Wait | None:
    """What would stop a start in the directory itself if its host did not wait."""
    if any(wait.rule == "trouble" for wait in seen.of(snapshot.host, None)):
        return None  # the rules cannot be applied to this snapshot
    return tmp_rules.refusal(tmp, Load(snapshot, seen.orders.get(snapshot.host, ()), seen.now))


def _other_directories(snapshot: PlotterSnapshot) -> Iterator[WhyAnswer]:
    """Explain the dst directories, and tmp2. One that is a tmp directory is explained already."""
    explained = {trimmed(tmp.path) for tmp in snapshot.tmp_dirs}
    folders = [trimmed(plot.path.rpartition("/")[0]) for plot in snapshot.plots]
    tmp2 = () if snapshot.tmp2 is None else (("tmp2", snapshot.tmp2),)
    for kind, directory in (*tmp2, *(("dst", dst) for dst in snapshot.dst_dirs)):
        path = trimmed(directory.path)
        if path in explained:
            continue
        explained.add(path)
        rule, text = None, f"takes plots as {kind}"
        if directory.drained is not None:
            rule = "drained"
            text = sentence(rule, directory.drained, snapshot.at, snapshot.utc_offset_s)
        elif directory.state is not DirState.OK:
            rule, text = f"{kind} state", directory.state.value
        free = "" if directory.free_bytes is None else f", {human_bytes(directory.free_bytes)} free"
        held = f", {counted(folders.count(path), 'plot')}" if kind == "dst" else ""
        yield WhyAnswer(
            snapshot.host, kind, directory.path, f"{text}{free}{held}", rule, names=frozenset({path})
        )


def _recent_start(seen: FarmPicture, snapshot: PlotterSnapshot, tmp: TmpDir) -> str | None:
    """Describe a plot that was ordered or started there recently; None: there is none."""
    jobs = [job for job in snapshot.jobs if job.tmp is not None and trimmed(job.tmp) == trimmed(tmp.path)]
    running = {job.task_id for job in jobs}
    for order in seen.orders.get(snapshot.host, ()):
        waits = order.expires_at > seen.now and is_due(order.start_token, snapshot.start_token)
        if order.tmp == tmp.path and waits and order.task_id not in running:
            return f"a plot was ordered {human_duration(age_s(order.sent_at, seen.now))} ago"
    youngest_s = min((age_s(job.started_at, seen.now) for job in jobs), default=None)
    if youngest_s is None or youngest_s > _RECENT_S:
        return None
    return f"a plot was started {human_duration(youngest_s)} ago"


def _job(host: str, job: Job) -> WhyAnswer:
    folders = [trimmed(folder) for folder in (job.tmp, job.tmp2, job.dst) if folder]
    where = f"{job.plotter} pid {job.pid} in {job.tmp}" if job.tmp else f"{job.plotter} pid {job.pid}"
    rule = None
    if job.stalled:
        rule, text = "stalled", f"{where} is stalled: {job.stalled}"
    elif job.status is RunStatus.STOPPED:
        rule, text = "suspended", f"{where} is suspended"
    else:
        phase = f"phase {job.phase}" if job.phase else "phase not known: it has no log"
        done = "" if job.percent is None else f", {job.percent:.0f} %"
        text = f"{where}: {phase}{done}"
    return WhyAnswer(
        host, "job", job.plot_id[:8] if job.plot_id else f"{host}:{job.pid}", text, rule,
        when=None if job.eta_s is None or rule else f"done in about {human_duration(job.eta_s)}",
        names=frozenset(folders), plot_id=job.plot_id, job_ids=(job.pid, job.task_id),
    )  # fmt: skip


def _plot(seen: FarmPicture, snapshot: PlotterSnapshot, plot: FinishedPlot) -> WhyAnswer:
    host, path = snapshot.host, plot.path
    folder, _, name = path.rpartition("/")
    names = frozenset({trimmed(folder), path, name})

    def answer(text: str, rule: str | None = None, when: str | None = None) -> WhyAnswer:
        return WhyAnswer(host, "plot", path, text, rule, when=when, names=names, plot_id=plot.plot_id)

    archiver = seen.farm.archivers.get(host)
    alive = (Role.ARCHIVER, host) not in seen.farm.stale
    transfers = archiver.transfers if archiver is not None and alive else ()
    sending = next((transfer for transfer in transfers if transfer.path == path), None)
    if sending is not None:
        return answer(*_sending(sending))
    record = next((move for move in seen.moves.get(host, ()) if move.path == path), None)
    if record is not None and under_way(record, seen.now):
        doing = record.doing or record.step.value
        return answer(f"on its way to {record.harvester}: {doing}{_tries(record)}")
    for wait in seen.of(host, path):
        text = wait.reason + ("" if record is None else _tries(record))
        return _waits(seen, snapshot, wait, "plot", text=text, names=names, plot_id=plot.plot_id)
    if plot.state is not PlotState.READY:
        return answer(plot.reason or plot.state.value, plot.state.value)
    if not snapshot.archiving:
        return answer("finished; it stays here: archiving is not configured", "no archiving")
    if seen.leader is None:
        return answer("would be moved now, but no scheduler decides", "no scheduler")
    if record is not None:
        return answer(f"its {record.step.value} to {record.harvester} has expired; it is decided again")
    return answer("will be moved now")


def _sending(transfer: Transfer) -> tuple[str, None, str | None]:
    share = 100 * transfer.sent_bytes / transfer.size_bytes if transfer.size_bytes else 0
    rate = "" if transfer.rate_bytes_s is None else f", {human_bytes(transfer.rate_bytes_s)}/s"
    where = f"{transfer.harvester}:{transfer.drive}"
    text = f"moving to {where}"
    if transfer.compares:
        where = f"{transfer.harvester}:{transfer.compared_with or transfer.drive}"
        what = "is the same plot by its name" if transfer.compared_with else "has a file of its name"
        text = f"{where} {what}; the plot is read, to be compared with it"
    when = None if transfer.eta_s is None else f"{human_duration(transfer.eta_s)} left"
    return f"{text}: {share:.0f} %{rate}", None, when


def _tries(record: PendingMove) -> str:
    if not record.attempts:
        return ""
    return f" (failed {counted(record.attempts, 'time')} at {record.step.value})"


def _evacuated(seen: FarmPicture, harvester: HarvesterSnapshot) -> Iterator[WhyAnswer]:
    """Explain the plots of evacuated drives that wait."""
    for entry in harvester.evacuations:
        for wait in seen.waits:
            folder, _, name = (wait.subject or "").rpartition("/")
            if wait.host == harvester.host and folder == entry.drive:
                yield WhyAnswer(
                    wait.host, "plot", wait.subject, wait.reason, wait.rule, wait.numbers,
                    names=frozenset({trimmed(folder), wait.subject or "", name}),
                    plot_id=plot_id_of(name), until=wait.until,
                )  # fmt: skip


def _replot(host: str, report: ReplotReport) -> WhyAnswer:
    rule = f"replot {report.state}" if report.state in (ReplotState.STOPPED, ReplotState.PAUSED) else None
    return WhyAnswer(host, "host", None, f"replot {host_text(report)}", rule)


def _drive(seen: FarmPicture, harvester: HarvesterSnapshot, drive: Drive) -> WhyAnswer:
    left_bytes = above_margin(drive.free_bytes, harvester.margin_bytes)
    free = "" if left_bytes is None else f", {human_bytes(left_bytes)} free"
    if drive.full and harvester.margin_bytes:
        free += f" beside harvester.margin_bytes ({human_bytes(harvester.margin_bytes)})"
    coming = f", {drive.incoming} on their way" if drive.incoming else ""
    rule, word = _drive_rule(harvester, drive), drive.word
    if rule in ("drained", "drained host") and drive.drained is not None:
        word = sentence("drained", drive.drained, harvester.at, harvester.utc_offset_s)
    if (entry := evacuations.of_drive(harvester, drive)) is not None:
        waits = seen.of(harvester.host, drive.path)
        word = "; ".join(
            [evacuations.text(entry, seen.now), *(f"waits: {wait.reason}" for wait in waits[:1])]
        )
        rule = waits[0].rule if waits else None
    plots = "? plots" if drive.counted_plots is None else counted(drive.counted_plots, "plot")
    text = f"{word}{free}, {plots}{coming}"
    return WhyAnswer(
        harvester.host, "drive", drive.path, text, rule,
        names=frozenset({trimmed(drive.path)}),
    )  # fmt: skip


def _drive_rule(harvester: HarvesterSnapshot, drive: Drive) -> str | None:
    """Why a drive takes no plots; None if it takes some."""
    if drive.takes_plots:
        return "full" if drive.full else None
    if drive.use is DriveUse.DISABLED:
        return "disabled"
    if drive.state is not DirState.OK:
        return "drive"
    if drive.drained is None:
        return "draining"
    return "drained" if harvester.drained is None else "drained host"
