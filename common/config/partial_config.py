"""What can be read of a plotman.yaml with errors, so that `check` tells of folders and programs as well."""

from __future__ import annotations

import copy
from typing import Any

from pydantic import ValidationError

from common.config.model import LENIENT, Config
from common.config.scheduling import Scheduling

Location = tuple[str | int, ...]

_ROUNDS = 8  # leaving out one thing may leave another one missing; sections are not nested deeper


def salvage(data: dict[str, Any]) -> Config | None:
    """The configuration without what is wrong in it; None if nothing is left. Keys need not agree."""
    rest = copy.deepcopy(data)
    for _ in range(_ROUNDS):
        try:
            return Config.model_validate(rest, context=LENIENT)
        except ValidationError as error:
            # From the back, so that leaving out an item of a list does not move those yet to go.
            for detail in reversed(error.errors(include_url=False)):
                location = tuple(part for part in detail["loc"] if part != "[key]")
                if location == ("plotting", "type"):
                    _leave_out(rest, ("plotting",))  # or the default plotter would be looked for
                elif detail["type"] != "missing":
                    _leave_out(rest, location)
                elif location[0] == "scheduling" and len(location) == 2:
                    # Its numbers name no folder and no program: any will do.
                    field = Scheduling.model_fields[str(location[1])]
                    rest["scheduling"][location[1]] = (field.examples or [0])[0]
                else:
                    _leave_out(rest, location[:-1])
    return None


def _leave_out(data: Any, location: Location) -> None:
    """Remove what is at `location`, if it is there."""
    if not location:
        return
    *above, last = location
    holder = data
    for part in above:
        try:
            holder = holder[part]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(holder, dict):
        holder.pop(last, None)
    elif isinstance(holder, list) and isinstance(last, int) and last < len(holder):
        del holder[last]
