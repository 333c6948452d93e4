"""Figures and names in what other machines write, each with its limit.

A value that would break a rule is refused. A figure that is only shown or summed up, and cannot be true,
counts as unknown or as none: the rest of its host's snapshot still counts.
"""

# No `from __future__ import annotations`: see common.model.snapshot.

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field

from common.model.bounds import Bounded, Otherwise
from common.names import MOVES_AT_ONCE_MAX

# Limits of what any machine may write, so that no rule overflows or takes minutes. No host comes near them.
MOST = 1 << 62
# Larger than any plot, and so small that the sizes of as many files as a drive may have fit into a Whole.
MOST_FILE_BYTES = 1 << 44
Whole = Annotated[int, Field(ge=-MOST, le=MOST)]
# What is summed up over the farm: one host's figure that cannot be true counts as unknown or as none, and its
# snapshot still counts. No file system and no host's day comes near the limits.
MOST_SPACE_BYTES = 1 << 54
_MOST_COUNT = 1 << 32
_MOST_MADE = 1 << 23  # plots in a week: 13 in each second
_MOST_JOBS = 1_000_000  # of scheduling.global_max_jobs
Space = Annotated[int | None, Field(ge=0, le=MOST_SPACE_BYTES), Otherwise(None)]
Bytes = Annotated[int, Field(ge=0, le=MOST_SPACE_BYTES), Otherwise(0)]
Count = Annotated[int, Field(ge=0, le=_MOST_COUNT), Otherwise(0)]
Made = Annotated[int, Field(ge=0, le=_MOST_MADE), Otherwise(0)]
Number = Annotated[float, Field(gt=-1e30, lt=1e30, allow_inf_nan=False)]
# Times, and seconds that are added to them.
Moment = Annotated[
    AwareDatetime, Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(5000, 1, 1, tzinfo=UTC))
]
# It becomes part of commands that operators complete and paste, where `all` has a meaning; a text of another
# form is none.
PlotId = Annotated[str | None, Field(pattern=r"^[0-9a-fA-F]{1,64}$"), Otherwise(None)]
PoolKey = Annotated[str | None, Field(pattern=r"^[0-9a-f]{1,96}$"), Otherwise(None)]
Rate = Annotated[float | None, Field(ge=0, le=1e12, allow_inf_nan=False), Otherwise(None)]
Percent = Annotated[float | None, Field(ge=0, le=100, allow_inf_nan=False), Otherwise(None)]
Eta = Annotated[float | None, Field(ge=0, le=1e9, allow_inf_nan=False), Otherwise(None)]
UtcOffset = Annotated[int, Field(ge=-86_400, le=86_400)]
# As many as its plotman.yaml may say: a larger claim counts for no more.
JobsMost = Annotated[Whole, AfterValidator(lambda count: max(0, min(count, _MOST_JOBS)))]
MovesAtOnce = Annotated[Whole, AfterValidator(lambda count: max(1, min(count, MOVES_AT_ONCE_MAX)))]
LONGEST_PATH = 4096  # PATH_MAX of Linux
# Names of hosts and ids of tasks: each button of a page repeats them.
LONGEST_NAME = 255
Name = Annotated[str, Field(max_length=LONGEST_NAME)]
Path = Annotated[str, Field(max_length=LONGEST_PATH)]
# Lengths of lists. Rules compare each tmp directory with each dst directory; everything else is read once.
FEW = Field(max_length=256, fail_fast=True)
MANY = Field(max_length=100_000, fail_fast=True)
LONGEST_LABEL = 40  # characters of the name of a plot format
LONGEST_REASON = 1_000  # characters of a wait's reason; one line for each drive of a large harvester
# Finished plots that are read of one host: 540 TB with k32. Each costs some microseconds of each decision.
PLOTS_MAX = 5_000
# Running plots of one host. A machine with a hundred is a large one.
JOBS_MAX = 1_000
# Plots of an evacuated drive that are listed: more than are moved until the next look.
EVACUATING_MAX = 50


class Notice(Bounded):
    """Base of everything on the notice board."""

    model_config = ConfigDict(frozen=True, extra="ignore", str_max_length=1 << 16)
