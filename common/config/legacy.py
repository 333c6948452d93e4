"""Files of plotman 0.3 (no version, or [0]) and 0.4 (version [1]): what to change, key by key, and the
changed mapping.

0.3 had logs and archive under directories, 0.4 the options of chia directly under plotting and the
overrides under directories.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from common.config.base import VERSION

Location = tuple[str | int, ...]


@dataclass(frozen=True)
class LegacyChange:
    """A key to change: what is wrong with it, and what to write instead."""

    location: Location
    what: str
    cure: str


_CHIA_OPTIONS = ("executable", "k", "e", "n_threads", "n_buckets", "job_buffer", "x")
_RSYNC_PORT = 12000  # 0.3's own choice, without a key for it; rsyncd's usual one is 873
_RSYNC_OPTIONS = "--preallocate --remove-source-files --skip-compress plot --whole-file"


def is_old(data: dict[str, Any]) -> bool:
    """Whether the mapping is a file of plotman 0.3 or 0.4, by its version, or by its keys where it names
    none."""
    version = data.get("version")
    number = version[0] if isinstance(version, list) and version else version
    if number in (0, 1) and not isinstance(number, bool):
        return True
    return version is None and bool(_moves(data)[1])


def changes(data: dict[str, Any]) -> list[LegacyChange]:
    """All keys to change in an old file, in the words of `plotman config check`."""
    cure = f"Write version: [{VERSION}], after the changes below; `plotman config migrate` does them all."
    return [LegacyChange(("version",), "is of plotman 0.4 or older", cure), *_moves(data)[1]]


def remains(data: dict[str, Any]) -> tuple[dict[str, Any], list[LegacyChange]]:
    """The mapping of a file of version [2] without the older keys in it, and what is to become of each."""
    new = copy.deepcopy(data)
    found = []
    if "archive" in new:
        found.append(_replaced(("archive",), new))
        del new["archive"]
    directories = _inner(new, "directories")
    if "archive" in directories:
        found.append(_replaced(("directories", "archive"), new))
        del directories["archive"]
    for step in (_log, _overrides, _options):
        found += step(new)
    return new, found


def _replaced(location: Location, data: dict[str, Any]) -> LegacyChange:
    cure = (
        "Remove it." if data.get("archiving") is not None else "Write archiving: in its place, and remove it."
    )
    return LegacyChange(location, "is 0.3's; archiving: replaces it", cure)


def migrated(data: dict[str, Any]) -> tuple[dict[str, Any], list[LegacyChange]]:
    """An old mapping in the form of version [2], values kept, and what was changed. Keys that are in no
    version stay, for `check` to tell."""
    new, moved = _moves(data)
    return {"version": [VERSION], **{key: new[key] for key in new if key != "version"}}, moved


def _moves(data: dict[str, Any]) -> tuple[dict[str, Any], list[LegacyChange]]:
    new = copy.deepcopy(data)
    done: list[LegacyChange] = []
    for step in (_log, _archive, _overrides, _options):
        done += step(new)
    return new, done


def _inner(data: dict[str, Any], name: str) -> dict[str, Any]:
    """A section to change in place; a stray mapping where the file has none or another kind of value."""
    section = data.get(name)
    return section if isinstance(section, dict) else {}


def _new_section(data: dict[str, Any], name: str) -> dict[str, Any]:
    if not isinstance(data.get(name), dict):
        data[name] = {}
    section: dict[str, Any] = data[name]
    return section


def _log(data: dict[str, Any]) -> list[LegacyChange]:
    directories = _inner(data, "directories")
    if "log" not in directories:
        return []
    folder = directories.pop("log")
    _new_section(data, "logging").setdefault("plots", folder)
    return [
        LegacyChange(("directories", "log"), "is logging.plots now", f"Write logging: {{plots: {folder}}}.")
    ]


def _overrides(data: dict[str, Any]) -> list[LegacyChange]:
    directories = _inner(data, "directories")
    if "tmp_overrides" not in directories:
        return []
    overrides = directories.pop("tmp_overrides")
    if overrides is not None:
        _new_section(data, "scheduling").setdefault("tmp_overrides", overrides)
    return [
        LegacyChange(
            ("directories", "tmp_overrides"), "is scheduling.tmp_overrides now", "Move it under scheduling."
        )
    ]


def _options(data: dict[str, Any]) -> list[LegacyChange]:
    plotting = _inner(data, "plotting")
    done = []
    for name in _CHIA_OPTIONS:
        if name in plotting:
            value = plotting.pop(name)
            _new_section(plotting, "chia").setdefault(name, value)
            plotting.setdefault("type", "chia")
            cure = "Move it under plotting.chia."
            done.append(LegacyChange(("plotting", name), f"is plotting.chia.{name} now", cure))
    return done


def _archive(data: dict[str, Any]) -> list[LegacyChange]:
    directories = _inner(data, "directories")
    if "archive" not in directories:
        return []
    old = directories.pop("archive")
    if not isinstance(old, dict):
        return (
            [LegacyChange(("directories", "archive"), "is archiving now", "Remove it.")]
            if old is None
            else []
        )
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
            done.append(
                LegacyChange(("directories", "archive", name), f"is {key} now", f"Write {key}: {value}.")
            )
    for name in old:
        done.append(LegacyChange(("directories", "archive", name), "has no meaning", "Remove it."))
    cure = f"Write archiving: {{target: rsyncd, env: {{rsync_port: {_RSYNC_PORT}}}}}, with the keys below."
    return [LegacyChange(("directories", "archive"), "is archiving now", cure), *done]


# 0.3's archive key -> name in version [2], where it goes, and how its value is written there.
_ARCHIVE_KEYS: dict[str, tuple[str, str, Callable[[Any], Any]]] = {
    "rsyncd_module": ("site", "env", str),
    "rsyncd_path": ("site_root", "env", str),
    "rsyncd_host": ("host", "env", str),
    "rsyncd_user": ("user", "env", str),
    "rsyncd_bwlimit": ("options", "env", lambda limit: f"--bwlimit={limit} {_RSYNC_OPTIONS}"),
    "index": ("index", "archiving", lambda index: index),
}
