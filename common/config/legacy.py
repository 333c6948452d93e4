"""Keys of plotman 0.3 (no version, or [0]), of 0.4 (version [1]), and of the guydavis fork (machinaris).

Converts old files, and lists the changes by key. 0.3 had logs and archive under directories, 0.4 the options
of chia directly under plotting and the overrides under directories.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from common.config.problems import Finding, Level, Location
from common.config.sections.base import VERSION

_OVERRIDES = ("directories", "tmp_overrides")
# Key of an older file -> its section now, its name there, and what to do.
_MOVED: dict[tuple[str, str], tuple[tuple[str, ...], str, str]] = {
    ("directories", "log"): (("logging",), "plots", "Write logging: {{plots: {}}}."),
    _OVERRIDES: (("scheduling",), "tmp_overrides", "Move it under scheduling."),
    **{
        ("plotting", name): (("plotting", "chia"), name, "Move it under plotting.chia.")
        for name in ("executable", "k", "e", "n_threads", "n_buckets", "job_buffer", "x")
    },
}
_RSYNC_PORT = 12000  # fixed in 0.3; the usual port of rsyncd is 873
_RSYNC_OPTIONS = "--preallocate --remove-source-files --skip-compress plot --whole-file"


def is_old(data: dict[str, Any]) -> bool:
    """Whether the mapping is a file of plotman 0.3 or 0.4, by its version, or without one by its keys."""
    version = data.get("version")
    number = version[0] if isinstance(version, list) and version else version
    if number in (0, 1) and not isinstance(number, bool):
        return True
    return version is None and bool(_moves(data)[1])


def changes(data: dict[str, Any]) -> list[Finding]:
    """All keys to change in an old file, for `plotman config check`."""
    cure = f"Write version: [{VERSION}], after the changes below; `plotman config migrate` does them all."
    return [Finding(("version",), "is of plotman 0.4 or older", cure), *_moves(data)[1]]


def remains(data: dict[str, Any]) -> tuple[dict[str, Any], list[Finding]]:
    """Copy the mapping of a file of version [2] without older keys. Returns the copy, and their changes."""
    new = copy.deepcopy(data)
    found = []
    if "archive" in new:
        found.append(_replaced(("archive",), new))
        del new["archive"]
    directories = _inner(new, "directories")
    if "archive" in directories:
        found.append(_replaced(("directories", "archive"), new))
        del directories["archive"]
    found += _moved_keys(new)
    return new, found


def _replaced(location: Location, data: dict[str, Any]) -> Finding:
    cure = (
        "Remove it." if data.get("archiving") is not None else "Write archiving: in its place, and remove it."
    )
    return Finding(location, "is 0.3's; archiving: replaces it", cure)


def migrated(data: dict[str, Any]) -> tuple[dict[str, Any], list[Finding]]:
    """Convert an old mapping to version [2]. Returns it with the list of changes. Keys of no version stay,
    for `check` to report."""
    new, moved = _moves(data)
    return {"version": [VERSION], **{key: new[key] for key in new if key != "version"}}, moved


def _moves(data: dict[str, Any]) -> tuple[dict[str, Any], list[Finding]]:
    new = copy.deepcopy(data)
    return new, [*_moved_keys(new), *_archive(new)]


def _inner(data: dict[str, Any], name: str) -> dict[str, Any]:
    """A section to change in place; an unrelated mapping if the file has none."""
    section = data.get(name)
    return section if isinstance(section, dict) else {}


def _new_section(data: dict[str, Any], name: str) -> dict[str, Any]:
    if not isinstance(data.get(name), dict):
        data[name] = {}
    section: dict[str, Any] = data[name]
    return section


def _moved_keys(data: dict[str, Any]) -> list[Finding]:
    """Move keys to where they belong now. A value that is there already stays."""
    done = []
    for (section, key), (new, new_key, cure) in _MOVED.items():
        old = _inner(data, section)
        if key in old:
            value = old.pop(key)
            if value is not None or (section, key) != _OVERRIDES:
                holder = data
                for name in new:
                    holder = _new_section(holder, name)
                holder.setdefault(new_key, value)
            if section == "plotting":
                old.setdefault("type", "chia")
            place = ".".join((*new, new_key))
            done.append(Finding((section, key), f"is {place} now", cure.format(value)))
    return done


def _archive(data: dict[str, Any]) -> list[Finding]:
    directories = _inner(data, "directories")
    if "archive" not in directories:
        return []
    old = directories.pop("archive")
    if not isinstance(old, dict):
        return [Finding(("directories", "archive"), "is archiving now", "Remove it.")] if old is None else []
    archiving = _new_section(data, "archiving")
    archiving.setdefault("target", "rsyncd")
    env = _new_section(archiving, "env")
    env.setdefault("rsync_port", _RSYNC_PORT)
    done = []
    for name, (new_name, place, convert) in _ARCHIVE_KEYS.items():
        if name in old:
            value = convert(old.pop(name))
            (env if place == "env" else archiving).setdefault(new_name, value)
            key = f"archiving.env.{new_name}" if place == "env" else f"archiving.{new_name}"
            done.append(Finding(("directories", "archive", name), f"is {key} now", f"Write {key}: {value}."))
    for name in old:
        done.append(Finding(("directories", "archive", name), "has no meaning", "Remove it."))
    cure = f"Write archiving: {{target: rsyncd, env: {{rsync_port: {_RSYNC_PORT}}}}}, with the keys below."
    return [Finding(("directories", "archive"), "is archiving now", cure), *done]


# Archive key of 0.3 -> its name in version [2], its place, and the conversion of its value.
_ARCHIVE_KEYS: dict[str, tuple[str, str, Callable[[Any], Any]]] = {
    "rsyncd_module": ("site", "env", str),
    "rsyncd_path": ("site_root", "env", str),
    "rsyncd_host": ("host", "env", str),
    "rsyncd_user": ("user", "env", str),
    "rsyncd_bwlimit": ("options", "env", lambda limit: f"--bwlimit={limit} {_RSYNC_OPTIONS}"),
    "index": ("index", "archiving", lambda index: index),
}


@dataclass(frozen=True)
class Retired:
    """A key of the fork. what: what became of it. harmless: whether a value has no effect. cure: what to
    do."""

    what: str
    harmless: Callable[[Any], bool] = lambda value: not value
    cure: str = "Remove it."


_ONE = "has no effect: plotman starts each plot as a process of its own"
_COPY = "has no effect: the plotter makes one plot and copies it before it ends"
_LEVEL = "has no effect: compression is enough"
_CHECK = "has no effect"
_ASK = (
    "Write check_plots, the number of proofs that bladebit tries on each plot in mode cudaplot; "
    "harvester.proofs checks each plot when it arrives, whatever made it."
)

RETIRED: dict[Location, Retired] = {
    ("directories", "tmp3"): Retired(
        "has no effect here",
        cure="Write it as plotting.madmax.gpu_tmp3, for Gigahorse on a GPU; or remove it.",
    ),
    ("plotting", "madmax", "n"): Retired(_ONE, lambda value: value == 1),
    ("plotting", "bladebit", "n"): Retired(_ONE, lambda value: value == 1),
    ("plotting", "bladebit", "check_plot"): Retired(_CHECK, cure=_ASK),
    ("plotting", "madmax", "waitforcopy"): Retired(_COPY),
    ("plotting", "madmax", "compression_supported"): Retired(_LEVEL),
    ("plotting", "madmax", "gpu_devices"): Retired(
        "has no effect", cure="Write gpu_ndevices, the number of GPUs; or remove it."
    ),
}


def retire(data: dict[str, Any]) -> tuple[dict[str, Any], list[Finding]]:
    """Copy the mapping without the fork's retired keys. Returns the copy, and the keys with an effect."""
    rest = copy.deepcopy(data)
    found = []
    for location, retired in RETIRED.items():
        holder: Any = rest
        for part in location[:-1]:
            holder = holder.get(part) if isinstance(holder, dict) else None
        if not isinstance(holder, dict) or location[-1] not in holder:
            continue
        if not retired.harmless(holder.pop(location[-1])):
            found.append(Finding(location, retired.what, retired.cure, Level.WARNING))
    return rest, found
