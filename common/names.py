"""Every name by which processes meet: tasks, queues, nodes, Redis keys and how long they live."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum


class Role(StrEnum):
    """What a process does; the first half of its node name."""

    PLOTTER = "plotter"
    ARCHIVER = "archiver"
    HARVESTER = "harvester"


# In the environment of each plotter that plotman starts: the state folder of that plotman.
STATE_VARIABLE = "PLOTMAN_STATE"

# Tasks. The package in the name says which queue carries it; `route` below derives it.
PLOT = "plotter_worker.plot"
PAUSE = "plotter_worker.pause"
UNPAUSE = "plotter_worker.unpause"
DRAIN = "plotter_worker.drain"
UNDRAIN = "plotter_worker.undrain"
DRAIN_DRIVES = "harvester_worker.drain"
UNDRAIN_DRIVES = "harvester_worker.undrain"
TRANSFER = "plotter_worker.transfer"
ARCHIVE_TO_TARGET = "plotter_worker.archive_to_target"
RELEASE = "plotter_worker.release"
REFUSE = "plotter_worker.refuse"
NOT_COPIED = "plotter_worker.not_copied"
RESEND = "plotter_worker.resend"
BANDWIDTH = "plotter_worker.bandwidth"
KILL = "plotter_worker.kill"
SUSPEND = "plotter_worker.suspend"
RESUME = "plotter_worker.resume"
DETAILS = "plotter_worker.details"
FILES = "plotter_worker.files"
LOG = "plotter_worker.log"
LEFTOVERS = "plotter_worker.leftovers"
CLEANUP = "plotter_worker.cleanup"
PLOTTER_HISTORY = "plotter_worker.history"
HARVESTER_HISTORY = "harvester_worker.history"
FREE_SPACE = "harvester_worker.free_space"
FIND_PLOTS = "harvester_worker.find_plots"
INVENTORY = "harvester_worker.inventory"
RESERVE = "harvester_worker.reserve"
ADMIT = "harvester_worker.admit"
EVACUATE = "harvester_worker.evacuate"
STOP_EVACUATION = "harvester_worker.stop_evacuation"
REPLOT = "harvester_worker.replot"
PAUSE_REPLOT = "harvester_worker.pause_replot"
RESUME_REPLOT = "harvester_worker.resume_replot"
STOP_REPLOT = "harvester_worker.stop_replot"

ROLE_OF_TASK = {
    PLOT: Role.PLOTTER,
    PAUSE: Role.PLOTTER,
    UNPAUSE: Role.PLOTTER,
    DRAIN: Role.PLOTTER,
    UNDRAIN: Role.PLOTTER,
    DRAIN_DRIVES: Role.HARVESTER,
    UNDRAIN_DRIVES: Role.HARVESTER,
    RELEASE: Role.PLOTTER,
    REFUSE: Role.PLOTTER,
    NOT_COPIED: Role.PLOTTER,
    RESEND: Role.PLOTTER,
    # Not the archiver: there it would wait for the transfer that it is to slow down.
    BANDWIDTH: Role.PLOTTER,
    KILL: Role.PLOTTER,
    SUSPEND: Role.PLOTTER,
    RESUME: Role.PLOTTER,
    DETAILS: Role.PLOTTER,
    FILES: Role.PLOTTER,
    LOG: Role.PLOTTER,
    LEFTOVERS: Role.PLOTTER,
    CLEANUP: Role.PLOTTER,
    TRANSFER: Role.ARCHIVER,
    ARCHIVE_TO_TARGET: Role.ARCHIVER,
    PLOTTER_HISTORY: Role.PLOTTER,
    HARVESTER_HISTORY: Role.HARVESTER,
    FREE_SPACE: Role.HARVESTER,
    FIND_PLOTS: Role.HARVESTER,
    INVENTORY: Role.HARVESTER,
    RESERVE: Role.HARVESTER,
    ADMIT: Role.HARVESTER,
    EVACUATE: Role.HARVESTER,
    STOP_EVACUATION: Role.HARVESTER,
    REPLOT: Role.HARVESTER,
    PAUSE_REPLOT: Role.HARVESTER,
    RESUME_REPLOT: Role.HARVESTER,
    STOP_REPLOT: Role.HARVESTER,
}

_QUEUE_PREFIX = {Role.PLOTTER: "plotter", Role.ARCHIVER: "archive", Role.HARVESTER: "harvester"}


def queue(role: Role, host: str) -> str:
    """Queue that only this role on this host consumes, e.g. `archive.plotter1`."""
    return f"{_QUEUE_PREFIX[role]}.{host}"


def node(role: Role, host: str) -> str:
    """Celery node name, e.g. `plotter@plotter1`."""
    return f"{role}@{host}"


# Kinds of events that are neither counted nor listed among others: each step of each plot.
FREQUENT_EVENTS = frozenset({"plot-phase"})

# kombu's exchanges of broadcasts, of their answers, and of events; one for all processes of a farm.
SHARED_EXCHANGES = ("celery.pidbox", "reply.celery.pidbox", "celeryev")


def bindings(exchange: str) -> tuple[str, str]:
    """The keys of kombu's tables of the queues that are bound to an exchange."""
    return f"_kombu.binding.{exchange}", f"_kombu.binding_permanent.{exchange}"


def is_host_name(text: str) -> bool:
    """Whether a text may be a farm.host, and so a part of the names of queues, nodes and Redis keys."""
    return len(text) <= 253 and re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", text) is not None


def role_and_host(node_name: str) -> tuple[Role, str] | None:
    """The reverse of `node`; None for the node of another program."""
    role, _, host = node_name.partition("@")
    return (Role(role), host) if role in set(Role) and is_host_name(host) else None


def is_task_id(text: str) -> bool:
    """Whether a text is a task id as Celery makes it, a UUID: it becomes the name of a file."""
    return re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text) is not None


# Set in the environment of each process of `plotman up` and of the units: the name with which they began, so
# that a process that is started again belongs to the same host after a change of the machine's host name.
HOST_VARIABLE = "PLOTMAN_HOST"
# In the environment of a process that `plotman up` runs: the pid of that supervisor.
SUPERVISOR_VARIABLE = "PLOTMAN_SUPERVISOR"

# Set in the environment of a plotter worker that must not start plots (of `plotman archive`).
STARTS_NONE = "PLOTMAN_STARTS_NONE"

# An unchanged snapshot is renewed each SNAPSHOT_RENEW. A host whose snapshot was not renewed for SNAPSHOT_TTL
# is lost: decisions leave it out. Its last snapshot is kept for LAST_WORD_TTL and shown to operators.
SNAPSHOT_RENEW = timedelta(seconds=10)
SNAPSHOT_TTL = timedelta(seconds=45)
LAST_WORD_TTL = timedelta(days=30)

# An order that no plotter has received by then expires, and beat decides anew.
ORDER_LIFETIME = timedelta(seconds=30)
# A move that no task has renewed for this long counts as lost, and beat decides anew.
MOVE_LIFETIME = timedelta(seconds=60)
# How long a ticket stays on the board, and how long a receiver stays open after its last use.
TICKET_LIFETIME = timedelta(minutes=10)
# The note of an admission, which the release reads within minutes. A later one has the plot admitted again.
ADMITTED_LIFETIME = timedelta(days=1)

# One beat decides. It stops LEASE_MARGIN before another may take over.
LEASE = timedelta(seconds=6)
LEASE_MARGIN = timedelta(seconds=1)

# How long claims are kept that let a notification be sent only once.
TOLD_TTL = timedelta(days=30)

EVENTS_MAX = 10_000  # length of the stream of what happened
MOVES_AT_ONCE_MAX = 32  # of one plotter
PENDING_MAX = 10_000  # orders, and moves, of one host that are read


class Keys:
    """Redis keys. Keys of one host share a prefix, so that one ACL pattern covers them."""

    HOSTS = "plotman:hosts"  # hash: every "role@host" ever seen -> a time that only an older beat reads
    EVENTS = "plotman:events"  # stream of events; wakes beat
    COUNTS = "plotman:counts"  # hash: "kind host" -> number of events; "bytes kind host" -> their bytes
    LEASE = "plotman:beat:lease"  # string: token of the beat that decides
    WAITS = "plotman:beat:waits:hosts"  # hash: host -> JSON of its waits
    ALARMS_HEARD = "plotman:alarms:heard"  # string: id of the last event that was turned into notifications
    ALARMS_RAISED = "plotman:alarms:raised"  # hash: problem -> id of its occurrence

    @staticmethod
    def told(notification_id: str) -> str:
        """string: the notifier that sends this notification, so that no other does."""
        return f"plotman:alarms:told:{notification_id}"

    @staticmethod
    def snapshot(role: Role, host: str) -> str:
        return f"plotman:host:{host}:{role}"

    @staticmethod
    def alive(role: Role, host: str) -> str:
        """string that expires when the snapshot is no longer renewed: time of the last snapshot that changed
        something for decisions, a space, and the mark of the process (common/worker/duplicate_host.py). Only
        this host may write it, so no other can hide its changes from beat."""
        return f"plotman:host:{host}:{role}:alive"

    @staticmethod
    def orders(host: str) -> str:
        """hash: task id -> order that no snapshot shows yet."""
        return f"plotman:host:{host}:orders"

    @staticmethod
    def moves(host: str) -> str:
        """hash: path of a plot -> its move from this host."""
        return f"plotman:host:{host}:moves"

    @staticmethod
    def ordered(host: str) -> str:
        """hash: path of a plot -> id and harvester of the move that beat ordered. Besides the scheduler only
        this host may write it, so no harvester can order a transfer to a harvester."""
        return f"plotman:host:{host}:ordered"

    @staticmethod
    def admitted(host: str, plotter: str, move: str) -> str:
        """string: the plot of `plotter` that a move brought to the harvester `host`, as "DIGEST PATH", with
        the digest of what was taken in. Only this host may write it, so no other harvester, and no other
        plotter's plot, can have the source deleted."""
        return f"plotman:host:{host}:admitted:{plotter}:{move}"

    @staticmethod
    def ticket(host: str, plotter: str, plot_id: str) -> str:
        """string, short-lived: the ticket of `plotter` for one plot to the receiver of the harvester `host`,
        with a password. Only this harvester may write it, and only that plotter may read it."""
        return f"plotman:host:{host}:ticket:{plotter}:{plot_id}"
