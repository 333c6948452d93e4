"""Check an order against what this host sees now. Pure: the host's snapshot and a time decide.

Beat has decided on a snapshot that may be old by now. Only what could do harm is checked again here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from common.errors import OrderRefused
from common.model.disk_usage import DiskUsage, trimmed
from common.model.gpu_slots import free_gpus
from common.model.messages import PlotOrder
from common.model.snapshot import Directory, DirState, PlotterSnapshot, TmpDir, age_s
from common.model.units import counted, human_bytes, human_seconds


class AlreadyTaken(OrderRefused):
    """The order is or was carried out already: its message came twice."""


@dataclass(frozen=True)
class PlotDirectories:
    """Where a plot is made, and where the finished plot goes. gpu: None if it is assigned none."""

    tmp: str
    tmp2: str | None
    dst: str
    gpu: str | None = None


def directories_for(order: PlotOrder, host: PlotterSnapshot, now: datetime) -> PlotDirectories:
    """Check the order, and choose the directories that it leaves open.

    Args:
        order: beat's, with a start token, or an operator's without; pause, stagger and drained directories
            bind only the former.
        host: this host's own snapshot.
        now: by this machine's clock, as all times of the order and of the snapshot.

    Raises:
        OrderRefused: with the reason.
    """
    if order.expires_at is not None and order.expires_at < now:
        late_s = (now - order.expires_at).total_seconds()
        raise OrderRefused(f"The order came {late_s:.0f} s too late.", "It is decided anew.")
    if order.start_token is not None and order.start_token != host.start_token:
        raise OrderRefused(
            f"The order has start token {order.start_token}, and this host is at {host.start_token}: "
            "a plot was started here since.",
            "It is decided anew.",
        )
    if order.start_token is not None and not host.plotting:
        raise OrderRefused(f"{host.host} starts no plots: {host.pause_reason}.", "Unpause it first.")
    if order.start_token is not None:
        _must_be_staggered(host, now)
    tmp = _tmp(order, host)
    dst = _dst(order, host, tmp)
    for directory in (tmp, host.tmp2, *(d for d in host.dst_dirs if d.path == dst)):
        _must_be_usable(directory)
        if order.start_token is not None and directory is not None and directory.drained is not None:
            raise OrderRefused(f"{directory.path} is drained.", "`plotman undrain` makes it take plots.")
    return PlotDirectories(tmp.path, host.tmp2.path if host.tmp2 else None, dst, _gpu(host))


def _gpu(host: PlotterSnapshot) -> str | None:
    if not host.gpus:
        return None
    if free := free_gpus(host):
        return free[0]
    raise OrderRefused(
        f"Every GPU ({', '.join(host.gpus)}) has the {counted(host.jobs_per_gpu, 'job')} that it may have.",
        "Wait for one to end, or raise plotting.jobs_per_gpu.",
    )


def _must_be_staggered(host: PlotterSnapshot, now: datetime) -> None:
    """Delayed orders may arrive together, and beat's clock may differ from ours."""
    starts = [job.started_at for job in host.jobs]
    last = max([*starts, host.last_start_at] if host.last_start_at else starts, default=None)
    if last is not None and age_s(last, now) < host.global_stagger_s:
        raise OrderRefused(
            f"The last plot was started {age_s(last, now):.1f} s ago, and scheduling.global_stagger_m is "
            f"{human_seconds(host.global_stagger_s)}.",
            "It is decided anew.",
        )


def _tmp(order: PlotOrder, host: PlotterSnapshot) -> TmpDir:
    running = [job.tmp for job in host.jobs]
    if len(running) >= host.global_max_jobs:
        raise OrderRefused(
            f"This host makes {counted(len(running), 'plot')}, and scheduling.global_max_jobs is "
            f"{host.global_max_jobs}.",
            "Wait for one to end, or raise the limit.",
        )
    free = [tmp for tmp in host.tmp_dirs if running.count(tmp.path) < tmp.max_jobs]
    if order.tmp is None:
        free = [tmp for tmp in free if tmp.drained is None]
        if not free:
            raise OrderRefused(
                "Every tmp directory is drained or has all the jobs it may have.", "Wait for one to end."
            )
        needs_bytes = host.recipe.tmp_bytes
        chosen = min(
            free, key=lambda tmp: (_unusable(tmp), _lacks(tmp, needs_bytes, host), running.count(tmp.path))
        )
        if host.check_room and _lacks(chosen, needs_bytes, host):
            raise OrderRefused(
                f"No tmp directory has the {human_bytes(needs_bytes)} that another plot takes.",
                "Wait for one to end, or free space. Name a tmp directory to start there anyway.",
            )
        return chosen
    for tmp in host.tmp_dirs:
        if trimmed(tmp.path) == trimmed(order.tmp):
            if tmp in free:
                return tmp
            raise OrderRefused(
                f"{tmp.path} has {counted(running.count(tmp.path), 'job')}, and its limit is {tmp.max_jobs}.",
                "Wait for one to end, or raise tmpdir_max_jobs.",
            )
    raise OrderRefused(
        f"{order.tmp} is no tmp directory of {host.host}.", "Name one of directories.tmp in its plotman.yaml."
    )


def _dst(order: PlotOrder, host: PlotterSnapshot, tmp: TmpDir) -> str:
    allowed = [directory.path for directory in host.dst_dirs] or [host.tmp2.path if host.tmp2 else tmp.path]
    if order.dst is None:
        if tmp.path in allowed:
            return tmp.path
        incoming = [job.dst for job in host.jobs]
        last = {
            directory.path
            for directory in host.dst_dirs
            if directory.drained is not None
            or _unusable(directory)
            or _lacks(directory, host.recipe.dst_bytes, host)
        }
        return min(allowed, key=lambda path: (path in last, incoming.count(path)))
    named = next((path for path in allowed if trimmed(path) == trimmed(order.dst)), None)
    if named is None:
        raise OrderRefused(
            f"{order.dst} is no dst directory of {host.host} for {tmp.path}.",
            "Name one of directories.dst in its plotman.yaml.",
        )
    return named


def _unusable(directory: Directory) -> bool:
    return directory.state not in (DirState.OK, DirState.UNKNOWN)


def _lacks(directory: Directory, size_bytes: int, host: PlotterSnapshot) -> bool:
    """Whether `size_bytes` do not fit beside what running plots will still take on the same file system."""
    if directory.free_bytes is None:
        return False
    return DiskUsage(host).at(directory.path).disk.left_bytes < size_bytes


def _must_be_usable(directory: Directory | None) -> None:
    if directory is not None and _unusable(directory):
        raise OrderRefused(f"{directory.path} is {directory.state}.", "Look at its drive.")
