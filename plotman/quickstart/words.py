"""What the quick start says of the farm, as plain text. Pure."""

from __future__ import annotations

from pathlib import Path

from common.model.snapshot import Job, Transfer
from common.model.units import counted, human_bytes, human_duration
from plotman.quickstart.look import Look


def short(plot_id: str | None) -> str:
    """A plot's id as people say it."""
    return plot_id[:8] if plot_id else "new plot"


def job_words(job: Job) -> str:
    """`6b4e7375 phase 2:3 43%`."""
    phase = f" phase {job.phase}" if job.phase else ""
    percent = f" {job.percent:.0f}%" if job.percent is not None else ""
    return f"{short(job.plot_id)}{phase}{percent}"


def eta_words(seconds: float | None) -> str:
    return human_duration(seconds) if seconds is not None else ""


def transfer_percent(transfer: Transfer) -> float:
    """0 to 100."""
    return 100 * transfer.sent_bytes / transfer.size_bytes if transfer.size_bytes else 100.0


def transfer_words(transfer: Transfer) -> str:
    """`6b4e7375 to drive 3 60% 120.0 MB/s`."""
    rate = f" {human_bytes(transfer.rate_bytes_s)}/s" if transfer.rate_bytes_s else ""
    drive = Path(transfer.drive).name
    return f"{short(transfer.plot_id)} to drive {drive} {transfer_percent(transfer):.0f}%{rate}"


def wait_words(look: Look) -> list[str]:
    """Why nothing more happens now, each reason once."""
    return list(dict.fromkeys(wait.reason for wait in look.waits))


def status_line(look: Look, landed: int, wanted: int) -> str:
    """The farm in one line."""
    parts = [f"{landed} of {counted(wanted, 'plot')} on drives"]
    if look.jobs:
        parts.append("plotting " + ", ".join(map(job_words, look.jobs)))
    if look.transfers:
        parts.append("moving " + ", ".join(map(transfer_words, look.transfers)))
    if not look.jobs and not look.transfers and (waits := wait_words(look)):
        parts.append("waiting: " + "; ".join(waits))
    return " | ".join(parts)
