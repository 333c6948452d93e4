"""`farm` and `harvester`: this machine's place in the farm, and its farming drives."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path, PurePath
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError

from common.config import document
from common.config.sections.base import BELOW, MOST_BYTES, MOST_JOBS, VERSION, YEAR_M, Folder, Section
from common.model.address import FIRST_USER_PORT, LAST_PORT, host_or_ip
from common.model.snapshot import DriveUse

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
    # No part of the value in the message: the password may be anywhere in a malformed URL.
    if parts is None or parts.scheme not in _SCHEMES or not (parts.hostname or parts.path.strip("/")):
        raise ValueError("is not the address of a Redis server")
    return secret


def _account(secret: SecretStr) -> SecretStr:
    user, colon, password = secret.get_secret_value().partition(":")
    if not (user and colon and password):
        raise ValueError("is not USER:PASSWORD")
    return secret


def _host_name(name: str) -> str:
    """Accept what is valid in the names of queues, nodes and Redis keys."""
    if len(name) > 253 or not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", name):
        raise ValueError("is not a name of letters, digits, dots, dashes and underscores")
    return name


def _user_port(port: int) -> int:
    if port != 0 and not FIRST_USER_PORT <= port <= LAST_PORT:
        raise ValueError(f"is neither 0 nor a port from {FIRST_USER_PORT} to {LAST_PORT}")
    return port


def default_state_dir() -> Path:
    """The state folder if plotman.yaml names none."""
    import platformdirs  # late: it is slow, and needed only for the default

    return platformdirs.user_data_path("plotman")


class Farm(Section):
    """This machine's place in the farm."""

    broker: Annotated[SecretStr, AfterValidator(_redis_url)] | None = Field(
        None,
        description="Redis of the farm, redis://[:password@]host[:port][/db]. Absent: `plotman up` starts "
        "one, for a farm of a single machine.",
        examples=["redis://:password@plotter1:6379/0"],
    )
    host: Annotated[str, AfterValidator(_host_name)] | None = Field(
        None, description="Name of this machine in the farm. Absent: its host name.", examples=["plotter1"]
    )
    state: Folder | None = Field(
        None,
        description="Folder for plotman's own files. Absent: ~/.local/share/plotman.",
        examples=["/var/lib/plotman"],
    )
    history_days: int | None = Field(
        None,
        ge=1,
        le=36_600,
        description="How long plots and transfers stay in the history, in days. Absent: for ever. A plot "
        "takes about 1 kB.",
        examples=[730],
    )
    max_jobs: int | None = Field(
        None,
        ge=0,
        le=MOST_JOBS,
        description="Largest number of jobs at a time on all plotters together. Jobs of a lost plotter count "
        "until they must have ended, a day at most. Set it where the scheduler runs. Absent: only the "
        "plotters' own limits hold.",
        examples=[40],
    )
    stagger_m: float | None = Field(
        None,
        ge=0,
        le=YEAR_M,
        allow_inf_nan=False,
        description="Shortest time between two starts anywhere, in minutes. Set it where the scheduler runs.",
        examples=[5],
    )
    scheduler: bool | None = Field(
        None,
        description="Whether this machine decides (runs beat). Absent: yes if no broker is set. On several "
        "machines one decides, and the others stand by.",
        examples=[True],
    )
    flower: bool | None = Field(
        None, description="Whether this machine runs Flower. Absent: the same as scheduler.", examples=[True]
    )
    flower_port: int = Field(5555, ge=1, le=65535, description="Flower's port.")
    flower_address: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address that Flower listens on; 0.0.0.0 is every address. Other machines can reach it "
        "only with flower_auth.",
    )
    flower_auth: Annotated[SecretStr, AfterValidator(_account)] | None = Field(
        None,
        description="USER:PASSWORD for Flower. Absent: it asks for none, and listens on this machine only.",
        examples=["farmer:password"],
    )
    metrics_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Port for Prometheus, with metrics of the whole farm. Absent: none.",
        examples=[9587],
    )
    metrics_address: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address for Prometheus; 0.0.0.0 is every address. It asks for no password: every "
        "machine that reaches it can read the names of hosts and folders.",
    )

    @property
    def broker_url(self) -> str | None:
        """Redis of the farm, with its password; None: the embedded one. Not for messages: see `masked`."""
        return self.broker.get_secret_value() if self.broker else None

    @property
    def state_dir(self) -> Path:
        """Folder for plotman's own files. It may not exist yet."""
        return Path(self.state) if self.state else default_state_dir()


def farm_section(path: Path) -> Farm | None:
    """Read the section `farm` alone, for verbs that only read the board: to load all of plotman.yaml takes
    longer than the rest of their work. Never raises: None if the section, the version or the text has a
    mistake, which a complete reading reports."""
    try:
        text = document.parse(path.read_bytes())
        if text.flaws or not isinstance(text.data, dict) or text.data.get("version") != [VERSION]:
            return None
        return Farm.model_validate(text.data.get("farm") or {}, context={BELOW: str(path.absolute().parent)})
    except (OSError, ValidationError):
        return None


class Placement(StrEnum):
    """Which drive gets a plot, if several could take it."""

    FILL = "fill"
    MOST_FREE = "most_free"
    ROUND_ROBIN = "round_robin"


class Harvester(Section):
    """The farming drives of this machine."""

    drives: tuple[Folder, ...] = Field(
        min_length=1,
        description="Folders for plots, each a mounted drive. * and ? are wildcards.",
        examples=[["/mnt/farm/*"]],
    )
    plain_folders: bool = Field(
        False,
        description="Take folders that are not mount points. Off by default: if a drive is not mounted, its "
        "folder is on the system disk.",
    )
    draining: tuple[Folder, ...] = Field(
        (),
        description="Drives that take no new plots, for example because you will remove them. Plots on their "
        "way to them still arrive. Paths or patterns, as in drives.",
        examples=[["/mnt/farm/03"]],
    )
    disabled: tuple[Folder, ...] = Field(
        (),
        description="Drives that plotman neither reads nor writes. Paths or patterns, as in drives.",
        examples=[["/mnt/farm/07"]],
    )
    placement: Placement = Field(
        Placement.FILL,
        description="Which drive gets a plot, among those with space and with the fewest plots on their way. "
        "fill: the first in the order of drives. most_free: the one with the most free space. round_robin: "
        "the one whose last plot is the oldest.",
    )
    margin_bytes: int = Field(
        100_000_000, ge=0, le=MOST_BYTES, description="Space to leave free on each drive, in bytes."
    )
    replot: bool = Field(
        False,
        description="Whether old plots on this machine may be replaced by new ones; see replot. Nothing is "
        "deleted by it alone: `plotman replot start` orders it.",
    )
    low_water_bytes: int | None = Field(
        None,
        ge=0,
        le=MOST_BYTES,
        description="Space that replacing leaves free on each drive, in bytes. Absent: as "
        "replot.low_water_bytes says where the scheduler runs.",
        examples=[110_000_000_000],
    )
    writers_per_drive: int = Field(
        1, ge=1, le=1_000, description="How many plots may be on their way to a drive at a time."
    )
    proofs: int = Field(
        30,
        ge=0,
        le=10_000,
        description="Challenges to prove with each plot before its source is deleted. 0: check only header "
        "and size.",
    )
    read_back: bool = Field(
        False,
        description="Read every plot back completely before its source is deleted. Off: only plots whose "
        "first transfer failed.",
    )
    scrub_bytes_s: int | None = Field(
        None,
        ge=1_000_000,
        le=MOST_BYTES,
        description="Read all plots again in the background, at most this many bytes per second, and report "
        "changed ones. Absent: off.",
        examples=[20_000_000],
    )
    chia_root: Folder | None = Field(
        None,
        description="Folder of chia's settings on this machine (CHIA_ROOT). After each plot that arrives, "
        "plotman asks chia's harvester whether it farms the plot, and reports once if it does not. Absent: "
        "chia is not asked.",
        examples=["/home/chia/.chia/mainnet"],
    )
    receiver_address: Annotated[str, AfterValidator(host_or_ip)] | None = Field(
        None,
        description="Name or address of this machine for the plotters on other machines. Absent: the address "
        "that it uses to reach the broker.",
        examples=["harvester1"],
    )
    receiver_port: Annotated[int, AfterValidator(_user_port)] = Field(
        8730,
        description="Port for incoming plots (1024 to 65535), open only while one is on its way. 0: any free "
        "port.",
    )
    receiver_tls: bool | None = Field(
        None,
        description="Encrypt incoming plots and passwords. Without that, somebody who can change what passes "
        "through the network can replace a plot by rubbish without notice. Uses a processor core on both "
        "machines, and needs the library cryptography here (pip install 'plotman[tls]'). Absent: on if "
        "farm.broker is rediss:// and the library is here.",
        examples=[True],
    )

    def folders(self) -> tuple[str, ...]:
        """Folders that `drives` may mean now, each once, sorted within each pattern.

        A path without * ? [ is listed even if it does not exist, so that a missing drive is noticed. A
        pattern is matched only up to its last * ? [: to look for `plots` of /mnt/*/plots in each folder could
        hang at one drive. The caller has to find out whether those exist (`is_sure`).
        """
        found: dict[str, None] = {}
        for pattern in self.drives:
            wild, below = _split(pattern)
            matches = sorted(f"{path}{below}" for path in glob.glob(wild)) if wild else [pattern]  # noqa: PTH207
            found.update(dict.fromkeys(matches))
        return tuple(found)

    def is_sure(self, drive: str) -> bool:
        """Whether an item of `folders` is a drive even if its folder is not found: plotman.yaml names its
        path, or a pattern matched it. Other items are guesses. Reads no disk."""
        return names((pattern for pattern in self.drives if not _split(pattern)[1]), drive)

    def use_of(self, drive: str) -> DriveUse:
        """How the owner wants a drive to be used. Reads no disk, because a disabled drive may hang. A drive
        that is both draining and disabled is disabled."""
        if names(self.disabled, drive):
            return DriveUse.DISABLED
        return DriveUse.DRAINING if names(self.draining, drive) else DriveUse.ACTIVE


def names(patterns: Iterable[str], drive: str) -> bool:
    """Whether one of the paths or patterns matches this drive; * and ? match no slash."""
    path = PurePath(drive)
    return any(path == PurePath(pattern) or path.match(pattern) for pattern in patterns)


def _split(pattern: str) -> tuple[str, str]:
    """(up to the last part with * ? [, the rest): ("/mnt/*", "/plots"); ("", "") without."""
    parts = pattern.split("/")
    wild = max((index for index, part in enumerate(parts) if glob.has_magic(part)), default=None)
    if wild is None:
        return "", ""
    return "/".join(parts[: wild + 1]), "".join(f"/{part}" for part in parts[wild + 1 :] if part)
