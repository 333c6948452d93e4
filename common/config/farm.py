"""`farm` and `harvester`: what is new since plotman 0.5, when a machine was all there was."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from common.config.base import MOST_BYTES, MOST_JOBS, YEAR_M, Folder, Section
from common.model.address import FIRST_USER_PORT, LAST_PORT, host_or_ip

_SCHEMES = {"redis", "rediss", "redis+socket", "unix"}


def _redis_url(secret: SecretStr) -> SecretStr:
    url = secret.get_secret_value()
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  reading it checks it
    except ValueError:
        parts = None
    by_socket = parts is not None and parts.scheme in ("redis+socket", "unix")
    if (
        parts is not None
        and not by_socket
        and not (
            re.fullmatch(r"/?|/\d+", parts.path)
            and re.fullmatch(r"[^\s/]*", parts.hostname or "")
            and ".." not in (parts.hostname or "")
            and parts.port != 0
        )
    ):
        parts = None
    # No part of the value in the message: nobody knows where in a malformed URL the password is.
    if parts is None or parts.scheme not in _SCHEMES or not (parts.hostname or parts.path.strip("/")):
        raise ValueError("is not the address of a Redis server")
    return secret


def _account(secret: SecretStr) -> SecretStr:
    user, colon, password = secret.get_secret_value().partition(":")
    if not (user and colon and password):
        raise ValueError("is not USER:PASSWORD")
    return secret


def _host_name(name: str) -> str:
    """Fit for the name of a queue, a node and a Redis key."""
    if len(name) > 253 or not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", name):
        raise ValueError("is not a name of letters, digits, dots, dashes and underscores")
    return name


def _user_port(port: int) -> int:
    if port != 0 and not FIRST_USER_PORT <= port <= LAST_PORT:
        raise ValueError(f"is neither 0 nor a port from {FIRST_USER_PORT} to {LAST_PORT}")
    return port


def default_state_dir() -> Path:
    """Folder for what plotman keeps where no plotman.yaml names one."""
    import platformdirs  # late: verbs that look are fast where one is named

    return platformdirs.user_data_path("plotman")


class Farm(Section):
    """This machine's place in the farm."""

    broker: Annotated[SecretStr, AfterValidator(_redis_url)] | None = Field(
        None,
        description="Redis of the farm, redis://[:password@]host[:port][/db]. Absent: `plotman up` brings "
        "one of its own, for a farm of a single machine.",
        examples=["redis://:password@plotter1:6379/0"],
    )
    host: Annotated[str, AfterValidator(_host_name)] | None = Field(
        None,
        description="Name of this machine in the farm. Absent: its host name.",
        examples=["plotter1"],
    )
    state: Folder | None = Field(
        None,
        description="Folder for what plotman keeps. Absent: ~/.local/share/plotman.",
        examples=["/var/lib/plotman"],
    )
    history_days: int | None = Field(
        None,
        ge=1,
        le=36_600,
        description="How long plots and transfers stay in the history, in days. Absent: for ever; a plot "
        "takes about 1 kB.",
        examples=[730],
    )
    max_jobs: int | None = Field(
        None,
        ge=0,
        le=MOST_JOBS,
        description="Most jobs at a time on all plotters together; those of a plotter that is silent count "
        "until they must have ended, a day at most. Read where the scheduler runs. Absent: as many as the "
        "plotters' own limits allow.",
        examples=[40],
    )
    stagger_m: float | None = Field(
        None,
        ge=0,
        le=YEAR_M,
        allow_inf_nan=False,
        description="Least time between two starts anywhere, in minutes. Read where the scheduler runs.",
        examples=[5],
    )
    scheduler: bool | None = Field(
        None,
        description="Whether this machine decides (runs beat). Absent: yes where no broker is named. Several "
        "machines may: one decides, the others stand by.",
        examples=[True],
    )
    flower: bool | None = Field(
        None, description="Whether this machine runs Flower. Absent: as scheduler.", examples=[True]
    )
    flower_port: int = Field(5555, ge=1, le=65535, description="Flower's port.", examples=[5555])
    flower_address: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address that Flower listens on. Beyond this machine (0.0.0.0: everywhere) only with "
        "flower_auth.",
        examples=["127.0.0.1"],
    )
    flower_auth: Annotated[SecretStr, AfterValidator(_account)] | None = Field(
        None,
        description="USER:PASSWORD that Flower asks for. Absent: it asks for none, and listens on this "
        "machine only.",
        examples=["farmer:password"],
    )
    metrics_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Port on which this machine tells Prometheus of the whole farm. Absent: it does not.",
        examples=[9587],
    )
    metrics_address: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address to listen on for Prometheus (0.0.0.0: everywhere). It asks for no password: "
        "whoever reaches it reads the names of hosts and folders.",
        examples=["127.0.0.1"],
    )

    @property
    def broker_url(self) -> str | None:
        """Redis of the farm, with its password; None: an embedded one. Not for messages: see `masked`."""
        return self.broker.get_secret_value() if self.broker else None

    @property
    def state_dir(self) -> Path:
        """Folder for what plotman keeps. It may not exist yet."""
        return Path(self.state) if self.state else default_state_dir()


class Placement(StrEnum):
    """Which of several drives that could take a plot gets it."""

    FILL = "fill"
    MOST_FREE = "most_free"
    ROUND_ROBIN = "round_robin"


class Harvester(Section):
    """The farming drives of this machine."""

    drives: tuple[Folder, ...] = Field(
        min_length=1,
        description="Folders for plots, each a mounted drive; * and ? stand for several.",
        examples=[["/mnt/farm/*"]],
    )
    plain_folders: bool = Field(
        False,
        description="Take folders that are not mount points. Off, so that a drive that dropped out does not "
        "turn into a folder on the system disk.",
        examples=[False],
    )
    draining: tuple[Folder, ...] = Field(
        (),
        description="Those of the drives that take nothing new, say because they are to be removed; what is "
        "on its way to them lands. Paths or patterns, as in drives.",
        examples=[["/mnt/farm/03"]],
    )
    disabled: tuple[Folder, ...] = Field(
        (),
        description="Those of the drives that plotman leaves alone: it neither writes to them nor looks at "
        "them. Paths or patterns, as in drives.",
        examples=[["/mnt/farm/07"]],
    )
    placement: Placement = Field(
        Placement.FILL,
        description="Which drive gets a plot, of those with room and with the fewest plots on their way to "
        "them. fill: the first in the order of drives. most_free: the one with the most room. round_robin: "
        "the one that took a plot the longest ago.",
        examples=["fill"],
    )
    margin_bytes: int = Field(
        100_000_000,
        ge=0,
        le=MOST_BYTES,
        description="Room to leave on each drive, in bytes.",
        examples=[100_000_000],
    )
    writers_per_drive: int = Field(
        1,
        ge=1,
        le=1_000,
        description="Most plots that may be on their way to a drive at a time.",
        examples=[1],
    )
    proofs: int = Field(
        30,
        ge=0,
        le=10_000,
        description="Challenges tried on each plot before its source goes; 0: check header and size only.",
        examples=[30],
    )
    read_back: bool = Field(
        False,
        description="Read every plot back as a whole before its source goes. Off: only those whose transfer "
        "did not end well at the first try.",
        examples=[False],
    )
    scrub_bytes_s: int | None = Field(
        None,
        ge=1_000_000,
        le=MOST_BYTES,
        description="Read all plots again in the background, at most so many bytes a second, and tell of "
        "those that changed. Absent: off.",
        examples=[20_000_000],
    )
    receiver_address: Annotated[str, AfterValidator(host_or_ip)] | None = Field(
        None,
        description="Name or address under which the plotters on other machines reach this one. Absent: the "
        "address from which it reaches the broker.",
        examples=["harvester1"],
    )
    receiver_port: Annotated[int, AfterValidator(_user_port)] = Field(
        8730,
        description="Port on which plots come in (1024 to 65535), listened on while one is on its way; 0: "
        "any that is free.",
        examples=[8730],
    )
    receiver_tls: bool = Field(
        False,
        description="Encrypt plots and passwords on their way in. Costs a processor core on both machines; "
        "needs the library cryptography here (pip install 'plotman[tls]').",
        examples=[True],
    )
