"""How wrong a plot's ETA is: by the built-in weights, and by the durations of the plots before it.

    python -m benchmarks.eta [--quick] [--plots 20] [--k 20 21 22] [--chia .venv-chia/bin/chia]

Plots of chia are real and run one after the other. madMAx and bladebit are replayed: their logs
with the durations that the lines name, and other durations in each plot, on a clock that does not wait.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from benchmarks.figures import Report
from plotter_worker.jobs.estimate import LearnedPlots
from plotter_worker.jobs.job import TrackedJob
from plotter_worker.jobs.records import JobRecord
from plotter_worker.plotters.base import CommandLine, SizeEstimate
from plotter_worker.plotters.registry import plotter_for
from plotter_worker.reporting.plot_history import Sizes, row_of_plot
from tests.support.paths import LOGS
from tests.support.sections import by_hand

_ROOT = Path(__file__).parents[1]
_AFTER = 3  # plots that are made before an estimate counts as learned
_LOOK_S = 0.1
_LOOKS = 200  # of a replayed plot
_REPLAYED = (("madmax", "madmax-k18", 18), ("bladebit", "bladebit-ramplot-1", 32))
_TOOK = re.compile(rb"(?:took|in) ([\d.]+) sec")
_SUM = re.compile(rb"(?:Finished )?Phase \d|Total|Finished plotting")
_NO_ROOM = SizeEstimate(0, 0, 0)

# Seconds from the start, the ETA by the built-in weights, and the learned one; None: there is none yet.
Look = tuple[float, float | None, float | None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="5 plots of each")
    parser.add_argument("--plots", type=int, default=20)
    parser.add_argument("--k", type=int, nargs="+", default=[20, 21, 22], help="sizes of chia's plots")
    parser.add_argument("--chia", type=Path, default=_ROOT / ".venv-chia" / "bin" / "chia")
    options = parser.parse_args()
    plots = 5 if options.quick else options.plots
    report = Report("eta", "How wrong a plot's ETA is")
    report.note(
        f"The error is |ETA - time left| / time left, its median over a plot's life; *learned* is from plot "
        f"{_AFTER + 1} of a kind on."
    )
    report.note(
        "chia's plots are real, one after the other; some seconds of each are the start of "
        "Python. Of madMAx and bladebit logs are replayed, each step up to 10 %, each plot up to 20 % off."
    )
    for name, log, k in _REPLAYED:
        _compare(
            report, f"{name} k{k}, replayed", plots, lambda *now, of=(name, log, k): _replayed(*of, *now)
        )
    with tempfile.TemporaryDirectory(prefix="plotman-bench-") as folder:
        environment = _chia_settings(options.chia, Path(folder))
        # All sizes in one history, as on a host whose plotman.yaml changes.
        for index, k in enumerate(options.k):
            _compare(
                report, f"chia k{k}", len(range(index, plots, len(options.k))),
                lambda *now, k=k: _real(options.chia, environment, Path(folder), k, *now),
            )  # fmt: skip
    report.show()
    report.save(keep=options.quick)


def _compare(
    report: Report, kind: str, plots: int, lives: Callable[[int, LearnedPlots], tuple[TrackedJob, list[Look]]]
) -> None:
    learned, built_in, own = LearnedPlots(), list[float](), list[float]()
    for number in range(plots):
        job, looks = lives(number, learned)
        took_s = looks[-1][0]
        built_in.append(_error(took_s, ((at_s, eta_s) for at_s, eta_s, _ in looks)))
        if number >= _AFTER:
            own.append(_error(took_s, ((at_s, eta_s) for at_s, _, eta_s in looks)))
        (plot,) = job.progress.plots_done
        learned.add(row_of_plot(job, plot, "bench", datetime.now(UTC), Sizes()))
    report.add("built-in weights", kind, "% error", built_in)
    if own:
        report.add("learned", kind, "% error", own)


def _error(took_s: float, looks: Iterator[tuple[float, float | None]]) -> float:
    """The median error in percent of the time that was left."""
    known = [(took_s - at_s, eta_s) for at_s, eta_s in looks if eta_s is not None and at_s < took_s]
    return 100 * median(abs(eta_s - left_s) / left_s for left_s, eta_s in known)


def _job(plotter: str, k: int, name: str, log: Path) -> TrackedJob:
    now = datetime.now(UTC)
    record = JobRecord(
        task_id=name, plotter=plotter, ours=True, accepted_at=now, started_at=now, argv=(), log=str(log),
        tmp="/mnt/tmp",
    )  # fmt: skip
    return TrackedJob(record, plotter_for(plotter), CommandLine(plotter, k=k, cwd=str(log.parent)))


def _look(job: TrackedJob, at_s: float, learned: LearnedPlots) -> Look:
    # Percent that was shown never decreases, and does not matter for the ETA.
    return at_s, job.snapshot(_NO_ROOM).eta_s, job.snapshot(_NO_ROOM, learned).eta_s


def _replayed(
    plotter: str, log: str, k: int, number: int, learned: LearnedPlots
) -> tuple[TrackedJob, list[Look]]:
    lines = _timed((LOGS / f"{log}.log").read_bytes(), random.Random(f"{log}{number}"))
    took_s = lines[-1][0]
    with tempfile.TemporaryDirectory(prefix="plotman-bench-") as folder:
        path = Path(folder) / "log"
        job, looks = _job(plotter, k, f"{plotter}-{number}", path), list[Look]()
        times = sorted({*(at_s for at_s, _ in lines), *(took_s * look / _LOOKS for look in range(_LOOKS))})
        with path.open("ab", buffering=0) as written:
            for at_s in times:
                started_at = datetime.now(UTC) - timedelta(seconds=at_s)
                job.record = job.record.model_copy(update={"started_at": started_at})
                while lines and lines[0][0] <= at_s:
                    written.write(lines.pop(0)[1])
                    job.read_log()
                looks.append(_look(job, at_s, learned))
        job.close_log()
    return job, looks


def _timed(log: bytes, chance: random.Random) -> list[tuple[float, bytes]]:
    """Each line with the second at which it is written."""
    speed, at_s, phase_s, timed = chance.uniform(0.8, 1.2), 0.0, 0.0, []
    for line in log.splitlines(keepends=True):
        took = _TOOK.search(line)
        if took and not _SUM.match(line):
            at_s += float(took[1]) * speed * chance.uniform(0.9, 1.1)
        elif took and b"Phase" in line:
            at_s = phase_s = max(at_s, phase_s + float(took[1]) * speed)
        timed.append((at_s, line))
    return timed


def _real(
    chia: Path, environment: dict[str, str], folder: Path, k: int, number: int, learned: LearnedPlots
) -> tuple[TrackedJob, list[Look]]:
    path = folder / f"{k}-{number}.log"
    argv = by_hand(chia, folder, folder, k)
    looks: list[Look] = []
    with path.open("wb") as log:
        job, began_s = _job("chiapos", k, f"chia-{k}-{number}", path), time.monotonic()
        with subprocess.Popen(argv, stdout=log, stderr=log, env=environment) as process:
            while process.poll() is None and not job.progress.plots_done:
                job.read_log()
                looks.append(_look(job, time.monotonic() - began_s, learned))
                time.sleep(_LOOK_S)
        job.read_log()
        looks.append(_look(job, time.monotonic() - began_s, learned))
    if not job.progress.plots_done:
        raise SystemExit(f"chia made no plot: {job.reader.tail(5)}")
    for plot in folder.glob("*.plot"):
        plot.unlink()
    job.close_log()
    return job, looks


def _chia_settings(chia: Path, folder: Path) -> dict[str, str]:
    """Settings of chia that allow plots as small as k18."""
    environment = os.environ | {"CHIA_ROOT": str(folder / "chia")}
    subprocess.run([chia, "init"], env=environment, check=True, capture_output=True)
    settings = folder / "chia" / "config" / "config.yaml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace("min_mainnet_k_size: 32", "min_mainnet_k_size: 18"), encoding="utf-8")
    return environment


if __name__ == "__main__":
    main()
