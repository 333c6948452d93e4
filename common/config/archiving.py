"""`archiving`: who takes the finished plots, and how they get there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from common.config.base import MOST_BYTES, Folder, Section

HARVESTER = "harvester"  # target: the harvester workers of the farm


def _words(env: Any) -> Any:
    """Values of an environment as text: 0.5.3 allows numbers there (ports, mostly)."""
    if env is None:
        return {}
    if not isinstance(env, Mapping):
        return env
    for key in env:
        if not key or "=" in str(key):
            raise ValueError(f"{key!r} is not the name of a variable")
    return {key: str(value) if isinstance(value, int | float) else value for key, value in env.items()}


class TargetDefinition(Section):
    """A way to move plots with programs of your own, as plotman 0.5 has it.

    The disk space script prints `PATH:BYTES`, a line for each folder that takes plots. The transfer script
    moves `source` to `destination`, one of these folders. Both find these two, and all of env, in their
    environment. Transfers that run already are known by their process name and the start of an argument.
    The transfer script may delete the source itself, once the copy is whole. Where it leaves it, plotman
    deletes it when it sees the whole copy in `destination` on this machine.
    """

    env: Annotated[dict[str, str | None], BeforeValidator(_words)] = Field(
        {},
        description="Variables for the scripts; one without a value must be given in archiving.env.",
        examples=[{"command": "rsync", "site_root": None}],
    )
    disk_space_path: str | None = Field(
        None, description="Program that tells the free space.", examples=["/home/chia/bin/free-space"]
    )
    disk_space_script: str | None = Field(
        None, description="The same, written out here.", examples=['#!/bin/sh\necho "/plots:1000000000000"\n']
    )
    transfer_path: str | None = Field(
        None, description="Program that moves a plot.", examples=["/home/chia/bin/move-plot"]
    )
    transfer_script: str | None = Field(
        None,
        description="The same, written out here.",
        examples=['#!/bin/sh\nrsync --whole-file "${source}" "${destination}"\n'],
    )
    transfer_process_name: str = Field(
        description="Name of the program that a transfer runs; {name} is replaced from env.",
        examples=["{command}"],
    )
    transfer_process_argument_prefix: str = Field(
        description="Start of the argument that says where to; {name} is replaced from env.",
        examples=["{site_root}"],
    )


def _login(text: str) -> str:
    """What ssh takes for `user@host`, and no option of it."""
    if not re.fullmatch(r"(?:[A-Za-z0-9_][\w.-]*@)?[A-Za-z0-9\[][\w.:\]-]*", text):
        raise ValueError("is not of the form user@host")
    return text


class Route(Section):
    """How plots get from this plotter to one harvester, where not through its receiver.

    Either way the files are written as a user of your choice; the harvester worker must be able to rename
    and delete them.
    """

    ssh: Annotated[str, AfterValidator(_login)] | None = Field(
        None,
        description="rsync over ssh, as user@host; its key must need no passphrase.",
        examples=["chia@harvester1"],
    )
    path: Folder | None = Field(
        None,
        description="Folder of this machine where the harvester's drives are mounted over the network.",
        examples=["/net/harvester1"],
    )
    under: Folder = Field(
        "/",
        description="With path: the harvester's folder that is mounted there.",
        examples=["/mnt/farm"],
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.ssh is None) == (self.path is None):
            raise ValueError("a route needs either ssh or path")
        return self


class Archiving(Section):
    """Who takes the finished plots, and how they get there."""

    target: str = Field(
        HARVESTER,
        description="harvester: the harvester workers of the farm, which verify each plot before its source "
        "is deleted. Where none can run: local_rsync, rsyncd, or a name from target_definitions, as in "
        "plotman 0.5.",
        examples=[HARVESTER],
    )
    harvesters: tuple[str, ...] = Field(
        (),
        description="With target harvester: hosts that may take the plots; absent: any.",
        examples=[["harvester1", "harvester2"]],
    )
    concurrency: int = Field(
        1,
        ge=1,
        le=32,
        description="With target harvester: plots that are sent from this machine at a time.",
        examples=[1],
    )
    bwlimit_bytes_s: int | None = Field(
        None,
        ge=1024,
        le=MOST_BYTES,
        description="With target harvester: bytes a second that all transfers from this machine to others "
        "may take together; `plotman bandwidth` changes it while they run. Absent: no limit.",
        examples=[80_000_000],
    )
    routes: Annotated[dict[str, Route], BeforeValidator(lambda value: value or {})] = Field(
        {},
        description="With target harvester: harvesters that are not reached through the receiver that they "
        "open for each plot.",
        examples=[{"harvester1": {"ssh": "chia@harvester1"}}],
    )
    env: Annotated[dict[str, str], BeforeValidator(_words)] = Field(
        {},
        description="With the other targets: their variables. local_rsync needs site_root (the folder under "
        "which the drives are mounted); rsyncd needs user, host, site_root and site (the rsync module).",
        examples=[{"command": "rsync", "site_root": "/farm/sites"}],
    )
    index: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="With the other targets: take the drive with room at this place, counted from 0; a "
        "different one on each plotter keeps two plotters off one drive.",
        examples=[0],
    )
    target_definitions: Annotated[dict[str, TargetDefinition], BeforeValidator(lambda value: value or {})] = (
        Field(
            {},
            description="Targets of your own.",
            examples=[
                {
                    "my_nas": {
                        "env": {"site_root": "/nas"},
                        "disk_space_path": "/home/chia/bin/free-space",
                        "transfer_path": "/home/chia/bin/move-plot",
                        "transfer_process_name": "rsync",
                        "transfer_process_argument_prefix": "{site_root}",
                    }
                }
            ],
        )
    )

    @property
    def by_harvester(self) -> bool:
        """Whether harvester workers take the plots, rather than scripts."""
        return self.target == HARVESTER and HARVESTER not in self.target_definitions
