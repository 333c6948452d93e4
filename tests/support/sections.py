"""Sections of plotman.yaml that tests begin with; each changes what it is about. And the same for a plotter
without plotman."""

from __future__ import annotations

from pathlib import Path
from typing import Any

FARMER = "a010d140e7c43146b5bb59695e6c444abbb62e964a535d0034351a90d1192bff0130de95f9bbc58af254c4dab4e65d3a"
POOL = "8b1afd3dff22960b4783961c76975be82653b2303ea6a90134a3706c48b461916223b478feb3397722a69234a9ea13e0"
# What `chia plotters chiapos` needs to make small plots.
SMALL = {"n_threads": 2, "n_buckets": 16, "job_buffer": 200, "stripes": 2000}

# One plot at a time, the next one at once. All that a plotter must say, and 0.5.3's polling_time_s.
SCHEDULING: dict[str, Any] = {
    "tmpdir_stagger_phase_major": 2,
    "tmpdir_stagger_phase_minor": 1,
    "tmpdir_max_jobs": 1,
    "global_max_jobs": 1,
    "global_stagger_m": 0,
    "polling_time_s": 20,
}
# The shortest plotman.yaml of a plotter.
PLOTTER: dict[str, Any] = {
    "version": [2],
    "directories": {"tmp": ["/t"]},
    "scheduling": SCHEDULING,
    "plotting": {"type": "chia"},
}


def small_plots(chia: Path) -> dict[str, Any]:
    """The section `plotting` for real plots that take a second; chia: the program."""
    return {
        "type": "chiapos",
        "farmer_pk": FARMER,
        "pool_pk": POOL,
        "chiapos": {"executable": str(chia), "k": 18, **SMALL},
    }


def by_hand(chia: Path, tmp: Path, dst: Path, k: int = 18) -> list[str]:
    """The same as a user types it; its settings (CHIA_ROOT) must allow so small a plot."""
    words = f"plotters chiapos -k {k} -n 1 -r 2 -b 200 -u 16 -s 2000 -x -f {FARMER} -p {POOL}".split()
    return [str(chia), *words, "-t", str(tmp), "-d", str(dst)]
