"""Whether chia farms a drive and a plot: compares what plotman has with what chia's harvester sees. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

from harvester_worker.farmed.chia_rpc import ChiaView

# How many intervals of chia's search a new plot may take, and seconds besides: chia opens file after file.
_INTERVALS = 2
_BESIDES_S = 300.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What is not farmed. subject: a drive or a plot. text: a sentence without its end."""

    subject: str
    text: str
    remedy: str

    @property
    def sentence(self) -> str:
        return f"{self.text}. {self.remedy}"


@dataclass(frozen=True, slots=True)
class Check:
    """Outcome for the plots that were asked about. waiting: those that chia may still find."""

    findings: tuple[Finding, ...] = ()
    waiting: frozenset[str] = field(default_factory=frozenset)


def is_searched(view: ChiaView, drive: str) -> bool:
    """Whether chia searches this folder. drive: its real path."""
    path = PurePath(drive)
    searched = [PurePath(folder) for folder in view.directories]
    return any(path == folder or (view.recursive and path.is_relative_to(folder)) for folder in searched)


def check(view: ChiaView, plots: Mapping[str, float], real: Mapping[str, str], now_s: float) -> Check:
    """Compare plots that landed with what chia sees.

    Args:
        view: of chia's harvester.
        plots: path -> time of landing, in seconds of any clock.
        real: drive -> its path without links.
        now_s: by the same clock.
    """
    findings: dict[str, Finding] = {}
    waiting = set()
    patience_s = _INTERVALS * view.interval_s + _BESIDES_S
    for plot, landed_s in plots.items():
        drive = str(PurePath(plot).parent)
        found = plot_at(plot, real)
        if not is_searched(view, real.get(drive, drive)):
            findings[drive] = _unsearched(drive)
        elif found in view.failed:
            remedy = "Its log, debug.log, says why; `chia plots check` tests the plot."
            findings[plot] = Finding(plot, f"chia cannot open {plot}", remedy)
        elif found not in view.plots:
            if now_s - landed_s <= patience_s:
                waiting.add(plot)
            else:
                findings[plot] = _unseen(plot, view)
    return Check(tuple(findings.values()), frozenset(waiting))


def _unsearched(drive: str) -> Finding:
    return Finding(
        drive, f"chia does not search {drive}: its plots are not farmed", f"Run `chia plots add -d {drive}`."
    )


def _unseen(plot: str, view: ChiaView) -> Finding:
    if not view.plots:
        text = f"chia's harvester has opened no plot, also not {plot}"
        return Finding(plot, text, "Check that it reaches its farmer.")
    remedy = "Its farmer may have other keys than the plot: see its debug.log."
    return Finding(plot, f"chia has not opened {plot}", remedy)


def plot_at(plot: str, real: Mapping[str, str]) -> str:
    """The path by which chia knows a plot."""
    path = PurePath(plot)
    drive = str(path.parent)
    return f"{real.get(drive, drive)}/{path.name}"


@dataclass(frozen=True, slots=True)
class DriveFarmed:
    """Of one drive: whether chia searches it, and its files with plots. unseen: neither opened nor failed."""

    drive: str
    searched: bool
    files: int
    farmed: int
    failed: int

    @property
    def unseen(self) -> int:
        return self.files - self.farmed - self.failed


def compare(
    view: ChiaView, drive: str, names: Iterable[str], real: Mapping[str, str]
) -> tuple[DriveFarmed, list[tuple[str, str]]]:
    """Compare the files of a drive with what chia sees.

    Args:
        view: of chia's harvester.
        drive: its folder.
        names: of its files with plots.
        real: drive -> its path without links.

    Returns:
        The counts, and (name, why) of each file that is not farmed.
    """
    searched = is_searched(view, real.get(drive, drive))
    files = farmed = failed = 0
    others = []
    for name in names:
        files += 1
        path = plot_at(f"{drive}/{name}", real)
        if path in view.plots:
            farmed += 1
        elif path in view.failed:
            failed += 1
            others.append((name, "chia cannot open it"))
        else:
            others.append((name, "chia has not opened it" if searched else "chia does not search its folder"))
    return DriveFarmed(drive, searched, files, farmed, failed), others
