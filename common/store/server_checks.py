"""Finds unsafe settings of the Redis server: lost messages, open access. Pure; `common.store.server` reads
the settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

from common.model.clock import CLOCK_CURE, wrong_clock
from common.model.units import human_bytes

# kombu 5.7 and redis-py 8 need BLMOVE and GETEX.
OLDEST = (6, 2)
_NEARLY = 0.95
MEMORY_CURE = "Raise maxmemory in its configuration, or find what fills it (`redis-cli --bigkeys`)."
REPLICA_CURE = "Name the primary in farm.broker of all machines, or promote it: `redis-cli replicaof no one`."
DISK_CURE = "Free space on its disk or repair it (its log names the file), then `redis-cli bgsave`."
CLIENTS_CURE = "Raise maxclients in its configuration, or find who holds them (`redis-cli client list`)."


class FindingLevel(IntEnum):
    """How bad a finding is. NOTE: information. WARNING: reported until corrected. FATAL: no worker starts."""

    NOTE = 1
    WARNING = 2
    FATAL = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """An unsafe setting; `str()` is one line.

    what: the setting, with its value. why: its consequence. cure: what to do. Each is a sentence.
    """

    what: str
    why: str
    cure: str
    severity: FindingLevel = FindingLevel.WARNING

    def __str__(self) -> str:
        return f"{self.what} {self.why} {self.cure}"


@dataclass(frozen=True, slots=True)
class Server:
    """Settings of a server. None: not known.

    eviction: its maxmemory-policy.
    persistent: it writes an append-only file.
    skew_s: our clock minus its, in seconds.
    open_to_all: it answers clients without password.
    loopback: the URL leads to this machine's loopback or to a unix socket.
    """

    version: tuple[int, ...] | None = None
    eviction: str | None = None
    persistent: bool | None = None
    skew_s: float | None = None
    open_to_all: bool | None = None
    loopback: bool = False


def server_findings(server: Server) -> tuple[Finding, ...]:
    """All findings, the worst first."""
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
            "When its memory is full, it deletes orders and results without an error.",
            "Write `maxmemory-policy noeviction` into its configuration and restart it.",
        )
    if server.open_to_all and not server.loopback:
        yield Finding(
            "Redis answers clients without a password.",
            "Everyone who reaches its port can control plotters and harvesters.",
            "Create users and passwords with `plotman farm secrets`.",
        )
    if (wrong := clock_finding(server.skew_s)) is not None:
        yield wrong
    if server.persistent is False:
        yield Finding(
            "Redis loses its data at a restart (appendonly no).",
            "No plot is lost, but waiting orders are decided anew, and results are lost.",
            "Write `appendonly yes` into its configuration if results should be kept.",
            FindingLevel.NOTE,
        )


def trouble(info: Mapping[str, str]) -> str | None:
    """Why the server takes no writes or no clients, or soon will not, with the cure; None if all is well.

    Args:
        info: the answer to INFO, by field.
    """
    limit_bytes = int(info.get("maxmemory", 0))
    used_bytes = int(info.get("used_memory", 0)) - int(info.get("mem_not_counted_for_evict", 0))
    if limit_bytes and used_bytes >= _NEARLY * limit_bytes:
        used = f"{human_bytes(used_bytes)} of {human_bytes(limit_bytes)} (maxmemory)"
        return f"Redis' memory is full, so that it refuses writes: {used}. {MEMORY_CURE}"
    if info.get("role") == "slave" and info.get("slave_read_only") != "0":
        primary = f"{info.get('master_host')}:{info.get('master_port')}"
        return f"Redis refuses writes: it is a read-only replica of {primary}. {REPLICA_CURE}"
    for field, file in (("aof_last_write_status", "append-only file"), ("rdb_last_bgsave_status", "dump")):
        if info.get(field) == "err":
            return f"Redis refuses writes: it cannot write its {file} to its disk. {DISK_CURE}"
    clients, most = int(info.get("connected_clients", 0)), int(info.get("maxclients", 0))
    if most and clients >= _NEARLY * most:
        return f"Redis has {clients} of at most {most} clients (maxclients), and refuses more. {CLIENTS_CURE}"
    return None


def clock_finding(skew_s: float | None) -> Finding | None:
    """The finding about this machine's clock; None where it is right. skew_s: its time minus Redis'."""
    difference = wrong_clock(skew_s)
    if difference is None:
        return None
    return Finding(
        f"This machine's clock is {difference}.",
        "plotman corrects the times that it sends; its logs, and pauses until an hour, follow this clock.",
        CLOCK_CURE,
    )


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
