"""`archiving`: which machines take the finished plots, and how the plots get there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from common.config.sections.base import MOST_BYTES, Folder, Section
from common.names import MOVES_AT_ONCE_MAX

HARVESTER = "harvester"  # target: the harvester workers of the farm


def _words(env: Any) -> Any:
    """Convert values of an environment to text: 0.5.3 allows numbers, such as ports."""
    if env is None:
        return {}
    if not isinstance(env, Mapping):
        return env
    for key in env:
        if not key or "=" in str(key):
            raise ValueError(f"{key!r} is not the name of a variable")
    return {key: str(value) if isinstance(value, int | float) else value for key, value in env.items()}


class TargetDefinition(Section):
    """A way to move plots with programs of your own, as in plotman 0.5.

    The disk space script prints a line `PATH:BYTES` for each folder that takes plots. The transfer script
    moves `source` to `destination`, one of these folders. Both get these two, and all of env, in their
    environment. plotman recognizes a running transfer by its process name and the start of an argument. The
    transfer script may delete the source when the copy is complete; if it does not, plotman deletes it as
    soon as it sees the complete copy in `destination` on this machine.
    """

    env: Annotated[dict[str, str | None], BeforeValidator(_words)] = Field(
        {},
        description="Variables for the scripts; one without a value must be given in archiving.env.",
        examples=[{"command": "rsync", "site_root": None}],
    )
    disk_space_path: str | None = Field(
        None, description="Program that prints the free space.", examples=["/home/chia/bin/free-space"]
    )
    disk_space_script: str | None = Field(
        None, description="The same as a script.", examples=['#!/bin/sh\necho "/plots:1000000000000"\n']
    )
    transfer_path: str | None = Field(
        None, description="Program that moves a plot.", examples=["/home/chia/bin/move-plot"]
    )
    transfer_script: str | None = Field(
        None,
        description="The same as a script.",
        examples=['#!/bin/sh\nrsync --whole-file "${source}" "${destination}"\n'],
    )
    transfer_process_name: str = Field(
        description="Name of the program that a transfer runs; {name} is replaced from env.",
        examples=["{command}"],
    )
    transfer_process_argument_prefix: str = Field(
        description="Start of the argument with the destination; {name} is replaced from env.",
        examples=["{site_root}"],
    )


def _login(text: str) -> str:
    """Accept `user@host` for ssh, and no option of it."""
    if not re.fullmatch(r"(?:[A-Za-z0-9_][\w.-]*@)?[A-Za-z0-9\[][\w.:\]-]*", text):
        raise ValueError("is not of the form user@host")
    return text


class Route(Section):
    """How plots get from this plotter to one harvester without its receiver.

    The files are written as a user of your choice. The harvester worker must be able to rename and delete
    them.
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
        "/", description="With path: the harvester's folder that is mounted there.", examples=["/mnt/farm"]
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.ssh is None) == (self.path is None):
            raise ValueError("a route needs either ssh or path")
        return self


class Archiving(Section):
    """Which machines take the finished plots, and how the plots get there."""

    target: str = Field(
        HARVESTER,
        description="harvester: the harvester workers of the farm, which verify each plot before its source "
        "is deleted. For machines that cannot run one: local_rsync, rsyncd, or a name from "
        "target_definitions, as in plotman 0.5.",
    )
    harvesters: tuple[str, ...] = Field(
        (),
        description="With target harvester: hosts that may take the plots; absent: any.",
        examples=[["harvester1", "harvester2"]],
    )
    concurrency: int = Field(
        1,
        ge=1,
        le=MOVES_AT_ONCE_MAX,
        description="With target harvester: how many plots this machine sends at a time.",
    )
    bwlimit_bytes_s: int | None = Field(
        None,
        ge=1024,
        le=MOST_BYTES,
        description="With target harvester: limit of all transfers from this machine to others together, in "
        "bytes per second. `plotman bandwidth` changes it while they run. Absent: no limit.",
        examples=[80_000_000],
    )
    routes: Annotated[dict[str, Route], BeforeValidator(lambda value: value or {})] = Field(
        {},
        description="With target harvester: harvesters that this machine reaches by ssh or a mounted folder "
        "instead of the harvester's own receiver.",
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
        description="With the other targets: number, from 0, of the drive to take among those with space. "
        "Different numbers keep two plotters off one drive.",
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
        """Whether harvester workers take the plots, not scripts."""
        return self.target == HARVESTER and HARVESTER not in self.target_definitions
