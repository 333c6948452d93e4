"""Compares two versions of plotman.yaml: which changes take effect at once, and which at the next start.
Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from common.config import Config
from common.config.base import Section

S = TypeVar("S", bound=Section)

# Read at the start of `plotman up` and the workers: sockets, processes and folders depend on them.
_AT_START = (
    "farm",
    "archiving.target",
    "archiving.target_definitions",
    "archiving.env",
    "archiving.index",
    "archiving.concurrency",
    "harvester.receiver_address",
    "harvester.receiver_port",
    "harvester.receiver_tls",
    "logging.transfers",
    "logging.disk_spaces",
    "logging.application",
)
_LIVE = ("farm.max_jobs", "farm.stagger_m")
# They decide which processes this machine runs, which `plotman up` starts.
_ROLES = ("directories", "scheduling", "plotting", "archiving", "harvester")


@dataclass(frozen=True)
class ConfigChange:
    """A change of the configuration.

    settings: in effect from now on; keys that are read at the start keep their former values.
    live: keys, with dots, that take effect now.
    at_start: keys that take effect at the next start.
    """

    settings: Config
    live: tuple[str, ...] = ()
    at_start: tuple[str, ...] = ()


def change(running: Config, read: Config) -> ConfigChange:
    """Compare the settings in effect (`running`) with those in the file (`read`)."""
    keys = list(differing(running, read))
    at_start = tuple(key for key in keys if _at_start(key, running, read))
    settings = read
    for key in at_start:
        settings = _with(settings, key.split("."), _value(running, key))
    return ConfigChange(settings, tuple(key for key in keys if key not in at_start), at_start)


def differing(one: Section, other: Section, above: str = "") -> Iterator[str]:
    """Keys whose values differ; a section that only one of the two has is one key."""
    for name in type(one).model_fields:
        mine, others = getattr(one, name), getattr(other, name)
        if isinstance(mine, Section) and isinstance(others, Section):
            yield from differing(mine, others, f"{above}{name}.")
        elif mine != others:
            yield f"{above}{name}"


def sentence(at_start: Sequence[str]) -> str:
    """State which keys wait for a restart."""
    verb = "has" if len(at_start) == 1 else "have"
    names = ", ".join(at_start[:-1]) + " and " + at_start[-1] if len(at_start) > 1 else at_start[0]
    return f"plotman.yaml: {names} {verb} changed, which takes effect when `plotman up` is restarted."


def _at_start(key: str, running: Config, read: Config) -> bool:
    if key in _ROLES:
        return getattr(running, key) is None or getattr(read, key) is None
    if key == "notifications.targets":  # it decides whether the notifier runs at all
        return running.runs_notifier != read.runs_notifier
    return key not in _LIVE and any(key == start or key.startswith(f"{start}.") for start in _AT_START)


def _value(section: Any, key: str) -> Any:
    for name in key.split("."):
        section = getattr(section, name)
    return section


def _with(section: S, path: Sequence[str], value: Any) -> S:
    """A copy of the section in which the key at `path` has this value."""
    name, *below = path
    inner = _with(getattr(section, name), below, value) if below else value
    return section.model_copy(update={name: inner})
