"""Keys of the guydavis fork (as machinaris uses it) that have no meaning here, and what became of each."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Location = tuple[str, ...]


@dataclass(frozen=True)
class Retired:
    """A key of the fork. what: became of it. harmless: values that ask for nothing we do not do anyway."""

    what: str
    harmless: Callable[[Any], bool] = lambda value: not value


_GIGAHORSE = "is for Gigahorse's GPU plotter, which plotman does not run"
_ONE = "has no effect: each plot is a plotter process of its own, started as soon as the rules allow"

RETIRED: dict[Location, Retired] = {
    ("directories", "tmp3"): Retired(_GIGAHORSE),
    ("plotting", "madmax", "n"): Retired(_ONE, lambda value: value == 1),
    ("plotting", "bladebit", "n"): Retired(_ONE, lambda value: value == 1),
    ("plotting", "madmax", "mode"): Retired(_GIGAHORSE, lambda value: value != "gpuplot"),
    ("plotting", "madmax", "waitforcopy"): Retired(
        "has no effect: the plotter makes one plot and copies it itself"
    ),
    ("plotting", "madmax", "compression_supported"): Retired(
        "has no effect: compression alone says it", bool
    ),
    ("plotting", "madmax", "gpu_plot"): Retired(_GIGAHORSE),
    **{
        ("plotting", "madmax", f"gpu_{name}"): Retired(_GIGAHORSE, lambda value: value in (None, False, 0))
        for name in ("device", "devices", "ndevices", "directio", "streams", "shared_memory")
    },
}
# With these the farmer wants a plotter that we cannot run: a warning would start another one.
DECISIVE: frozenset[Location] = frozenset(
    {("plotting", "madmax", "mode"), ("plotting", "madmax", "gpu_plot")}
)


def retire(data: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[Location, str]]]:
    """A copy of the mapping without the fork's retired keys, and what to say of those that asked for
    something: location and text."""
    rest = copy.deepcopy(data)
    said: list[tuple[Location, str]] = []
    for location, retired in RETIRED.items():
        holder: Any = rest
        for part in location[:-1]:
            holder = holder.get(part) if isinstance(holder, dict) else None
        if (
            isinstance(holder, dict)
            and location[-1] in holder
            and not retired.harmless(holder.pop(location[-1]))
        ):
            said.append((location, retired.what))
    return rest, said
