"""Rules between keys of plotman.yaml.

They read the bare mapping, not the models, so that `check` can report their violations together with wrong
values. They ignore what the models refuse anyway.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from common.config.problems import Finding, Level, Location
from common.config.sections.archiving import HARVESTER
from common.config.sections.targets import FILTER, PRESETS, filter_flaw
from common.model.address import is_loopback_address
from common.model.paths import one_spelling


def broken(data: Mapping[str, Any]) -> list[Finding]:
    """All rules that the mapping of a plotman.yaml violates, in the order of its sections."""
    return [
        *_sections(data),
        *_overrides(data),
        *_keys_of_the_plots(_section(data, "plotting")),
        *_gpus(_section(data, "plotting")),
        *_target(_section(data, "archiving")),
        *_farmed(data),
        *_flower(_section(data, "farm")),
        *_autostart(_section(_section(data, "commands"), "interactive")),
    ]


def _section(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = data.get(name)
    return section if isinstance(section, Mapping) else {}


def _sections(data: Mapping[str, Any]) -> Iterator[Finding]:
    """directories, scheduling and plotting need each other; a machine must have a task."""
    has = {name for name, section in data.items() if section is not None}
    plotter = ("directories", "scheduling", "plotting")
    idle = not has & {"harvester", "farm"}
    if not (idle or has & {*plotter, "archiving"}):
        return
    for name in plotter:
        if name not in has:
            yield Finding(
                (name,),
                "the section is missing",
                "Add it (`plotman config generate` shows it)."
                if not idle or has & set(plotter)
                else "Add it, or harvester on a machine without plotter (`plotman config generate`).",
            )


def _autostart(interactive: Mapping[str, Any]) -> Iterator[Finding]:
    """autostart: false of 0.5.3 has no effect: `plotman up` starts plotting and archiving."""
    for what in ("plotting", "archiving"):
        if interactive.get(f"autostart_{what}") is False:
            yield Finding(
                ("commands", "interactive", f"autostart_{what}"),
                f"has no effect: `plotman up` starts {what}",
                f"Use `plotman pause {what}`; it holds until `plotman unpause {what}`, also over restarts.",
                Level.WARNING,
            )


def _overrides(data: Mapping[str, Any]) -> Iterator[Finding]:
    """Each folder of tmp_overrides is one of tmp, and is named once."""
    tmp = _section(data, "directories").get("tmp")
    if not isinstance(tmp, list | tuple):
        return
    folders = [one_spelling(folder) for folder in tmp if isinstance(folder, str) and folder.strip()]
    seen: dict[str, object] = {}
    for name in _section(_section(data, "scheduling"), "tmp_overrides"):
        if not isinstance(name, str) or not name.strip():
            continue
        location = ("scheduling", "tmp_overrides", name)
        folder = one_spelling(name)
        if folder in seen:
            yield Finding(location, f"is the same folder as {seen[folder]}", "Keep one of the two.")
        elif folder not in folders:
            # plotman 0.5.3 ignored these; many files still contain the ones of its sample.
            nearest = difflib.get_close_matches(folder, folders, 1, cutoff=0.75)
            yield Finding(
                location,
                "is not in directories.tmp, and has no effect",
                f"Did you mean {nearest[0]}?" if nearest else "Add it there, or remove it here.",
                Level.WARNING,
            )
        seen[folder] = name


def _keys_of_the_plots(plotting: Mapping[str, Any]) -> Iterator[Finding]:
    """Pool key or contract, not both; keys that a plotter needs."""
    kind = plotting.get("type", "chia")
    pool = plotting.get("pool_pk") is not None
    contract = plotting.get("pool_contract_address") is not None
    if pool and contract:
        yield Finding(
            ("plotting", "pool_pk"),
            "excludes pool_contract_address, and both are given",
            "Keep pool_contract_address for plots that can join a pool, else pool_pk.",
        )
    # bladebit refuses to start, but plotman 0.5.3 accepted the file, and its other sections may be in use.
    level = Level.WARNING if kind == "bladebit" else Level.ERROR
    if kind in ("madmax", "bladebit", "xchplot2"):
        if plotting.get("farmer_pk") is None:
            yield Finding(
                ("plotting", "farmer_pk"),
                f"is missing; {kind} needs it",
                "Add it (`chia keys show` prints it).",
                level,
            )
        if not pool and not contract:
            yield Finding(
                ("plotting", "pool_contract_address"),
                f"is missing; {kind} needs it or pool_pk",
                "Add one of them (`chia plotnft show` and `chia keys show` print them).",
                level,
            )


# Keys by which a plotter chooses its GPUs itself.
_OWN_CHOICE = {"madmax": ("gpu_device", "gpu_ndevices"), "bladebit": ("device",), "xchplot2": ("devices",)}


def _gpus(plotting: Mapping[str, Any]) -> Iterator[Finding]:
    """With `gpus` a job sees one GPU only, which is its number 0: another number would fail each plot."""
    kind = plotting.get("type")
    if not plotting.get("gpus") or not isinstance(kind, str):
        return
    for name in _OWN_CHOICE.get(kind, ()):
        if _section(plotting, kind).get(name) is not None:
            what = "excludes plotting.gpus, which assigns one GPU to each job, and both are given"
            yield Finding(("plotting", kind, name), what, "Keep one of the two.")


def _target(archiving: Mapping[str, Any]) -> Iterator[Finding]:
    """The target exists, and has its scripts and variables."""
    own = _section(archiving, "target_definitions")
    target = archiving.get("target", HARVESTER)
    for name, definition in own.items():
        yield from _definition(name, definition)
    if not isinstance(target, str):
        return
    if target == HARVESTER and HARVESTER not in own:
        return
    if archiving.get("harvesters"):
        yield Finding(
            ("archiving", "harvesters"),
            f"has no meaning with target {target}",
            "Remove it, or write target: harvester.",
        )
    if target not in own and target not in PRESETS:
        names = [HARVESTER, *PRESETS, *map(str, own)]
        nearest = difflib.get_close_matches(target, names, 1, cutoff=0.5)
        yield Finding(
            ("archiving", "target"),
            f"{target!r} is not a target",
            f"Did you mean {nearest[0]}?" if nearest else f"Write one of {', '.join(names)}.",
        )
        return
    if target not in own:
        yield from _variables(target, _section(archiving, "env"))
    needed = _section(_section(own, target), "env") if target in own else PRESETS[target].env
    given = _section(archiving, "env")
    for name, value in needed.items():
        if value is None and given.get(name) is None:
            yield Finding(("archiving", "env", name), f"is missing; target {target} needs it", "Add it.")


def _variables(target: str, given: Mapping[str, Any]) -> Iterator[Finding]:
    """Variables for the scripts of a predefined target."""
    for name, value in given.items():
        where = ("archiving", "env", name)
        if not isinstance(name, str) or value is None or isinstance(value, list | Mapping):
            continue
        if name == FILTER and (what := filter_flaw(str(value))):
            yield Finding(where, what, "Correct it; .* takes every drive.")
        if name in ("rsync_port", "ssh_port") and not re.fullmatch(r"[1-9]\d{0,4}", str(value)):
            yield Finding(where, "is not a port number", "Write it, for example: 873.")
        if name == "site_root" and not str(value).startswith("/"):
            yield Finding(where, "is not a full path", "Write it, for example: /farm/sites.")
        known = PRESETS[target].env
        near = difflib.get_close_matches(name, known, 1, cutoff=0.85)
        if name not in known and near:
            what = f"is not a variable of {target}"
            yield Finding(where, what, f"Did you mean {near[0]}?", Level.WARNING)


def _farmed(data: Mapping[str, Any]) -> Iterator[Finding]:
    """A folder from which plots are moved cannot be a farming drive; without archiving it can."""
    directories, harvester = _section(data, "directories"), _section(data, "harvester")
    if data.get("archiving") is None:
        return
    finished = next((key for key in ("dst", "tmp2") if directories.get(key) is not None), "tmp")
    for key in ("tmp", "tmp2", "dst"):
        for location, folder in _folders(directories.get(key), ("directories", key)):
            farmed, left_alone = (
                any(PurePath(folder).match(pattern) for _, pattern in _folders(harvester.get(name), ()))
                for name in ("drives", "disabled")
            )
            if farmed and not left_alone:
                yield Finding(
                    location,
                    f"{folder} is also one of harvester.drives: finished plots would be moved away from it"
                    if key == finished
                    else f"{folder} is also one of harvester.drives: plots of other machines would fill it",
                    "Name another folder here, or list it in harvester.disabled.",
                    Level.ERROR if key == finished else Level.WARNING,
                )


def _folders(value: object, above: Location) -> list[tuple[Location, str]]:
    """A folder, or each folder of a list, with its location; other values are left out."""
    items = [(above, value)] if isinstance(value, str) else []
    if isinstance(value, list | tuple):
        items = [((*above, index), item) for index, item in enumerate(value)]
    return [(place, one_spelling(item)) for place, item in items if isinstance(item, str) and item.strip()]


def _definition(name: object, definition: object) -> Iterator[Finding]:
    """A target needs a program or a script for each of its two steps."""
    if not isinstance(definition, Mapping):
        return
    for step in ("disk_space", "transfer"):
        if definition.get(f"{step}_path") is None and definition.get(f"{step}_script") is None:
            yield Finding(
                ("archiving", "target_definitions", str(name), f"{step}_path"),
                f"is missing, and so is {step}_script",
                "Add one of them.",
            )


def _flower(farm: Mapping[str, Any]) -> Iterator[Finding]:
    """Flower can kill plots, so access from other machines needs a password."""
    scheduler = farm.get("scheduler")
    decides = farm.get("broker") is None if scheduler is None else scheduler
    runs = decides if farm.get("flower") is None else farm.get("flower")
    address = farm.get("flower_address", "127.0.0.1")
    if not runs or not isinstance(address, str) or is_loopback_address(address):
        return
    if farm.get("flower_auth") is None:
        yield Finding(
            ("farm", "flower_address"),
            f"Flower would listen on {address} without a password",
            "Add flower_auth: USER:PASSWORD, or write 127.0.0.1.",
        )
