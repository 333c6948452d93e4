"""Where the tests find the checkout and their recorded data."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Real logs of plotters, a file each.
LOGS = ROOT / "tests" / "unit" / "plotter_worker" / "plotters" / "logs"
# Messages and snapshots as earlier versions wrote them.
RECORDED = ROOT / "tests" / "recorded"
