"""A log as long as a k32 plot's, made of a short one that was recorded."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_RECORDED = Path(__file__).parents[1] / "tests/unit/plotter_worker/plotters/logs/chiapos-k18.log"
_BUCKETS = 128
# The line that reaches 2:1, where these benchmarks let the next plot start.
MILESTONE = "Backpropagating on table 7"
LATE = "Starting to write C1 and C3 tables"
_BUCKET = re.compile(rb"(?m)^(\tBucket )\d+( .*\n)")
_RUN = re.compile(rb"(?m)(?:^\tBucket \d+ .*\n)+")


@cache
def full_log() -> bytes:
    """The recorded log with as many lines for each table as 128 buckets print."""

    def longer(run: re.Match[bytes]) -> bytes:
        found = _BUCKET.match(run[0])
        assert found is not None
        return b"".join(found[1] + str(number).encode() + found[2] for number in range(_BUCKETS))

    return _RUN.sub(longer, _RECORDED.read_bytes())
