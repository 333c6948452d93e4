"""Keys of the guydavis fork (as machinaris uses it) that have no meaning here, and what became of each."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from common.config.problems import Level

Location = tuple[str | int, ...]


@dataclass(frozen=True)
class Retired:
    """A key of the fork. what: became of it. harmless: values that ask for nothing anyway."""

    what: str
    harmless: Callable[[Any], bool] = lambda value: not value


@dataclass(frozen=True)
class Farewell:
    """A retired key that was found asking for something."""

    location: Location
    what: str
    level: Level


_GPU = "is for Gigahorse's GPU plotter, which plotman does not run"
_ONE = "has no effect: each plot is a process of its own, started as soon as the rules allow"
_COPY = "has no effect: the plotter makes one plot, and copies it before it ends"
_LEVEL = "has no effect: compression alone says it"

RETIRED: dict[Location, Retired] = {
    ("directories", "tmp3"): Retired(_GPU),
    ("plotting", "madmax", "n"): Retired(_ONE, lambda value: value == 1),
    ("plotting", "bladebit", "n"): Retired(_ONE, lambda value: value == 1),
    ("plotting", "madmax", "mode"): Retired(_GPU, lambda value: value != "gpuplot"),
    ("plotting", "madmax", "waitforcopy"): Retired(_COPY),
    ("plotting", "madmax", "compression_supported"): Retired(_LEVEL),
    ("plotting", "madmax", "gpu_plot"): Retired(_GPU),
    **{
        ("plotting", "madmax", f"gpu_{name}"): Retired(_GPU)
        for name in ("device", "devices", "ndevices", "directio", "streams", "shared_memory")
    },
}

# The farmer wants a plotter that we cannot run: after a warning another one would start.
_DECISIVE = {("plotting", "madmax", "mode"), ("plotting", "madmax", "gpu_plot")}


def retire(data: dict[str, Any]) -> tuple[dict[str, Any], list[Farewell]]:
    """A copy of the mapping without the fork's retired keys, and what to say of those that asked for
    something."""
    rest = copy.deepcopy(data)
    plotting = data.get("plotting")
    madmax_runs = isinstance(plotting, dict) and plotting.get("type") == "madmax"
    said = []
    for location, retired in RETIRED.items():
        holder: Any = rest
        for part in location[:-1]:
            holder = holder.get(part) if isinstance(holder, dict) else None
        if not isinstance(holder, dict) or location[-1] not in holder:
            continue
        if not retired.harmless(holder.pop(location[-1])):
            error = madmax_runs and location in _DECISIVE
            said.append(Farewell(location, retired.what, Level.ERROR if error else Level.WARNING))
    return rest, said
