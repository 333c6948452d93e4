"""What hosts say of single plots, as lines for people. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from common.model.units import counted, human_bytes, human_duration
from plotman.control.selectors import PlotSelection


def details_lines(said: dict[str, Any]) -> list[str]:
    """A line for each thing known: its name, its value."""
    started = datetime.fromisoformat(said["started_at"]).astimezone()
    tree = ", ".join(f"{one['pid']} {one['name']}" for one in said["processes"])
    percent, eta_s = said["percent"], said["eta_s"]
    rows = {
        "plot id": said["plot_id"],
        "host": said["host"],
        "plotter": said["plotter"],
        "k": said["k"],
        "started by": "plotman" if said["ours"] else "hand, or another manager",
        "started at": f"{started:%Y-%m-%d %H:%M:%S}",
        "phase": said["phase"],
        "done": None if percent is None else f"{percent:.0f} %",
        "ETA": None if eta_s is None else human_duration(eta_s),
        "stalled": said["stalled"] or "no",
        "tmp": said["tmp"],
        "tmp2": said["tmp2"],
        "dst": said["dst"],
        "files": f"{said['files']}, {human_bytes(said['files_bytes'])}",
        "state": said["status"],
        "pid": said["pid"],
        "processes": tree or None,
        "user": said["user"],
        "memory": human_bytes(said["mem_bytes"]),
        "CPU": f"user {human_duration(said['user_s'])}, sys {human_duration(said['sys_s'])}",
        "log": said["log"],
        "task id": said["task_id"],
        "command": " ".join(said["argv"]),
    }
    width = max(map(len, rows))
    return [f"{name:{width}}  {'?' if value is None else value}" for name, value in rows.items()]


def files_lines(said: dict[str, Any]) -> list[str]:
    return _file_lines(said["files"])


def files_sum(said: dict[str, Any]) -> str:
    """`104 files, 42.0 MB`."""
    count = len(said["files"])
    taken_bytes = sum(file["allocated_bytes"] for file in said["files"])
    return f"{counted(count, 'file')}, {human_bytes(taken_bytes)}"


def doomed_lines(target: PlotSelection, said: dict[str, Any], most: int) -> list[str]:
    """What `kill` would end and delete; at most so many files."""
    job = target.job
    known = [job.plotter, f"k{job.k}" if job.k else None, f"phase {job.phase}" if job.phase else None]
    lines = [f"{target}: {', '.join(part for part in known if part)}, pid {job.pid}"]
    if not said["ours"]:
        lines.append("  It was started by hand or by another manager, not by this plotman.")
    lines.append(f"  {files_sum(said)} to be deleted{':' if said['files'] else ''}")
    largest = sorted(said["files"], key=lambda file: -int(file["allocated_bytes"]))
    lines += [f"    {line}" for line in _file_lines(largest[:most])]
    if len(largest) > most:
        lines.append(f"    and {len(largest) - most} more; `plotman files {target.name}` lists all")
    lines += [f"  {path} is a finished plot, and stays" for path in said["finished"]]
    return lines + [f"  not looked at: {trouble}" for trouble in said["troubles"]]


def killed_lines(what: str, said: dict[str, Any]) -> list[str]:
    count = said["deleted"]
    lines = [f"{what} killed; {counted(count, 'file')} deleted, "
             f"{human_bytes(said['freed_bytes'])} freed"]  # fmt: skip
    lines += [f"  {path} is a finished plot, and stays" for path in said["finished"]]
    return lines + [f"  not deleted: {left}" for left in said["left"]]


def _file_lines(files: Iterable[dict[str, Any]]) -> list[str]:
    return [f"{human_bytes(file['allocated_bytes']):>9}  {file['path']}" for file in files]
