"""Which settings of a Celery process differ from what plotman needs. Pure; `worker.startup` reads them.

Celery lets the environment (CELERY_BROKER_URL, CELERY_RESULT_BACKEND) and the command line (-P, -c, -n, -Q,
--prefetch-multiplier, ...) override what the app sets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from common.model.units import counted
from common.names import Role, node, queue, role_and_host
from common.store.server_checks import Finding, FindingLevel

# The longest plot that we know of takes days: k35 on spinning drives.
LONGEST_PLOT_S = 7 * 86400
# Short requests that a plotter or harvester must answer beside its long ones.
_SPARE = 10


@dataclass(frozen=True, slots=True)
class Setup:
    """A process as it is about to run.

    node: its node name; None for beat. host: this machine's name in plotman.yaml.
    queues: those it consumes. pool: class path of its pool. own_pool: whether that is ours, or made of ours.
    concurrency: tasks at once; None for beat. at_once: what its role is meant to do at once; None: no limit.
    our_broker, our_backend: whether they are what plotman.yaml names.
    """

    node: str | None
    host: str
    queues: tuple[str, ...] = ()
    pool: str = ""
    own_pool: bool = True
    concurrency: int | None = None
    at_once: int | None = None
    our_broker: bool = True
    our_backend: bool = True
    acks_late: bool = False
    prefetches: bool = False
    json_only: bool = True
    visibility_timeout_s: float | None = None


def setup_findings(setup: Setup) -> tuple[Finding, ...]:
    """Everything about the process that plotman cannot or should not run with, worst first."""
    found = [*_messages(setup), *(_worker(setup, setup.node) if setup.node else ())]
    return tuple(sorted(found, key=lambda finding: -finding.severity))


def _messages(setup: Setup) -> Iterator[Finding]:
    if not setup.our_broker:
        yield Finding(
            "The broker is not the one that plotman.yaml names.",
            "Tasks would go one way and what is known of the farm another.",
            "Unset CELERY_BROKER_URL and its like, and leave -b away; write farm.broker in plotman.yaml.",
            FindingLevel.FATAL,
        )
    if not setup.our_backend:
        yield Finding(
            "Results do not go to the broker that plotman.yaml names.",
            "Nobody finds them where the farm looks.",
            "Unset CELERY_RESULT_BACKEND, and leave --result-backend away.",
            FindingLevel.FATAL,
        )
    if not setup.json_only:
        yield Finding(
            "Messages other than JSON are accepted or sent.",
            "Pickle lets whoever reaches Redis run code here.",
            "Remove what changes accept_content, task_serializer or result_serializer.",
            FindingLevel.FATAL,
        )
    if setup.visibility_timeout_s is not None and setup.visibility_timeout_s < LONGEST_PLOT_S:
        yield Finding(
            f"The broker's visibility_timeout is {setup.visibility_timeout_s:.0f} s.",
            "A plot that takes longer than that may be ordered a second time.",
            f"Leave it at plotman's own, or above {LONGEST_PLOT_S} s.",
        )
    if setup.acks_late:
        yield Finding(
            "Tasks are acknowledged late (task_acks_late).",
            "A worker that dies has its plots ordered again, though they still run.",
            "Remove what sets task_acks_late.",
        )
    if setup.prefetches:
        yield Finding(
            "The worker fetches messages ahead.",
            "They wait in its hands, and come twice or late when it dies.",
            "Leave --prefetch-multiplier away, and worker_disable_prefetch on.",
        )


def _worker(setup: Setup, name: str) -> Iterator[Finding]:
    named = role_and_host(name)
    if named is None:
        roles = ", ".join(Role)
        yield Finding(
            f"The worker's name {name} says no role.",
            "It would do nothing.",
            f"Start it with -n ROLE@{setup.host} and its -Q (ROLE: {roles}), or by `plotman up`.",
            FindingLevel.FATAL,
        )
        return
    role, host = named
    if host != setup.host:
        yield Finding(
            f"The worker's name is {name}, and plotman.yaml calls this machine {setup.host}.",
            "It would speak for another machine.",
            f"Start it with -n {node(role, setup.host)}, or correct farm.host.",
            FindingLevel.FATAL,
        )
        return
    if queue(role, host) not in setup.queues:
        yield Finding(
            f"{name} does not consume the queue {queue(role, host)}.",
            "No task would reach it.",
            f"Start it with -Q {queue(role, host)}.",
            FindingLevel.FATAL,
        )
    if not setup.own_pool:
        yield Finding(
            f"{name} runs with the pool {setup.pool}.",
            "Its tasks find nothing of this process there, and cannot be stopped without harm.",
            "Leave -P away.",
            FindingLevel.FATAL,
        )
    yield from _concurrency(setup, role, name)


def _concurrency(setup: Setup, role: Role, name: str) -> Iterator[Finding]:
    if setup.concurrency is None or setup.at_once is None or setup.concurrency == setup.at_once:
        return
    if role is Role.ARCHIVER:
        yield Finding(
            f"{name} works on {counted(setup.concurrency, 'transfer')} at once, and plotman.yaml says "
            f"{setup.at_once}.",
            "The transfers get into each other's way, or wait for each other.",
            f"Start it with -c {setup.at_once}.",
        )
    elif setup.concurrency < setup.at_once + _SPARE:
        yield Finding(
            f"{name} does {setup.concurrency} things at once at most (-c).",
            f"{setup.at_once} long ones and the short requests beside them need {setup.at_once + _SPARE}.",
            "Leave -c away.",
        )
