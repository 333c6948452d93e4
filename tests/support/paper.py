"""What farms on paper have in common: a time zero, sizes, and a plot of k32."""

from __future__ import annotations

from datetime import UTC, datetime

from common.model.snapshot import Recipe

T = datetime(2026, 11, 22, 12, tzinfo=UTC)
GB = 10**9
K32 = Recipe(plotter="chia", k=32, tmp_bytes=256 * GB, tmp2_bytes=0, dst_bytes=108 * GB)
