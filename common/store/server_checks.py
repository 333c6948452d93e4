"""Which settings of the Redis server can cost messages, or let strangers in. Pure; `common.store.server`
asks the server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

# BLMOVE, GETEX and what else kombu 5.7 and redis-py 8 take for granted.
OLDEST = (6, 2)
# Orders expire after 30 s (common.names.ORDER_LIFETIME) by the clock of the host that reads them.
MOST_SKEW_S = 5.0


class FindingLevel(IntEnum):
    """How bad a finding is. NOTE: good to know. WARNING: told until mended. FATAL: we don't start."""

    NOTE = 1
    WARNING = 2
    FATAL = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """An unsafe setting; `str()` is one line.

    what: the setting, with its value. why: what comes of it. cure: what to do. Each a sentence.
    """

    what: str
    why: str
    cure: str
    severity: FindingLevel = FindingLevel.WARNING

    def __str__(self) -> str:
        return f"{self.what} {self.why} {self.cure}"


@dataclass(frozen=True, slots=True)
class Server:
    """What the server says of itself. None: it does not say.

    eviction: its maxmemory-policy. persistent: whether it writes an append-only file.
    skew_s: its clock minus ours. open_to_all: it answers clients without password.
    loopback: it is reached over this machine's loopback or a unix socket, as far as the URL tells.
    """

    version: tuple[int, ...] | None = None
    eviction: str | None = None
    persistent: bool | None = None
    skew_s: float | None = None
    open_to_all: bool | None = None
    loopback: bool = False


def server_findings(server: Server) -> tuple[Finding, ...]:
    """Everything that is unsafe about the server, worst first."""
    return tuple(sorted(_findings(server), key=lambda finding: -finding.severity))


def _findings(server: Server) -> Iterator[Finding]:
    if server.version is not None and server.version < OLDEST:
        yield Finding(
            f"Redis is of version {_dotted(server.version)}.",
            f"Celery needs {_dotted(OLDEST)} or newer.",
            "Install a newer Redis, or Valkey.",
        )
    if server.eviction not in (None, "noeviction"):
        yield Finding(
            f"Redis has maxmemory-policy {server.eviction}.",
            "When its memory is full it throws orders and results away without a word.",
            "Write `maxmemory-policy noeviction` into its configuration and restart it.",
        )
    if server.open_to_all and not server.loopback:
        yield Finding(
            "Redis answers everybody, without a password.",
            "Who reaches its port can order plotters and harvesters.",
            "Make users and passwords with `plotman farm secrets`.",
        )
    if server.skew_s is not None and abs(server.skew_s) > MOST_SKEW_S:
        direction = "behind" if server.skew_s > 0 else "ahead of"
        yield Finding(
            f"This machine's clock is {abs(server.skew_s):.0f} s {direction} Redis'.",
            "Orders expire too early or too late, and the ages that are shown are wrong.",
            "Keep the clocks of both machines by NTP (`timedatectl set-ntp true`).",
        )
    if server.persistent is False:
        yield Finding(
            "Redis keeps nothing over a restart (appendonly no).",
            "No plot is lost by that, but what waits in queues is decided anew, and results are gone.",
            "Write `appendonly yes` into its configuration if results shall stay.",
            FindingLevel.NOTE,
        )


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
