"""Keys of the guydavis fork (as machinaris uses it) that have no meaning here, and what became of each."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Location = tuple[str | int, ...]


@dataclass(frozen=True)
class Retired:
    """A key of the fork. what: became of it. harmless: values that ask for nothing. cure: what to do."""

    what: str
    harmless: Callable[[Any], bool] = lambda value: not value
    cure: str = "Remove it."


@dataclass(frozen=True)
class Farewell:
    """A retired key that was found asking for something; always a warning."""

    location: Location
    what: str
    cure: str


_GPU = "is for Gigahorse's GPU plotter, which plotman does not run"
_BY_CPU = f"{_GPU} yet: plots are made on the processor by plotting.madmax.executable"
_NAME_IT = "Name Gigahorse's chia_plot there, and remove this key."
_ONE = "has no effect: each plot is a process of its own, started as soon as the rules allow"
_COPY = "has no effect: the plotter makes one plot, and copies it before it ends"
_LEVEL = "has no effect: compression alone says it"
_CHECK = "has no effect"
_ASK = (
    "Write check_plots, the number of proofs that bladebit tries on each plot in mode cudaplot; "
    "harvester.proofs asks for proofs of each plot as it arrives, whoever made it."
)

RETIRED: dict[Location, Retired] = {
    ("directories", "tmp3"): Retired(_GPU),
    ("plotting", "madmax", "n"): Retired(_ONE, lambda value: value == 1),
    ("plotting", "bladebit", "n"): Retired(_ONE, lambda value: value == 1),
    ("plotting", "bladebit", "check_plot"): Retired(_CHECK, cure=_ASK),
    ("plotting", "madmax", "mode"): Retired(_BY_CPU, lambda value: value != "gpuplot", _NAME_IT),
    ("plotting", "madmax", "waitforcopy"): Retired(_COPY),
    ("plotting", "madmax", "compression_supported"): Retired(_LEVEL),
    ("plotting", "madmax", "gpu_plot"): Retired(_BY_CPU, cure=_NAME_IT),
    **{
        ("plotting", "madmax", f"gpu_{name}"): Retired(_GPU)
        for name in ("device", "devices", "ndevices", "directio", "streams", "shared_memory")
    },
}


def retire(data: dict[str, Any]) -> tuple[dict[str, Any], list[Farewell]]:
    """A copy of the mapping without the fork's retired keys, and what to say of those that asked for
    something."""
    rest = copy.deepcopy(data)
    said = []
    for location, retired in RETIRED.items():
        holder: Any = rest
        for part in location[:-1]:
            holder = holder.get(part) if isinstance(holder, dict) else None
        if not isinstance(holder, dict) or location[-1] not in holder:
            continue
        if not retired.harmless(holder.pop(location[-1])):
            said.append(Farewell(location, retired.what, retired.cure))
    return rest, said
