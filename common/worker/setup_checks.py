"""Finds settings of a Celery process that differ from what plotman needs. Pure; `worker.startup` reads them.

Celery lets the environment (CELERY_BROKER_URL, CELERY_RESULT_BACKEND) and the command line (-P, -c, -n, -Q,
--prefetch-multiplier, ...) override what the app sets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from common.model.units import counted
from common.names import Role, node, queue, role_and_host
from common.store.server_checks import Finding, FindingLevel

# The longest known plots, k35 on hard disks, take days.
LONGEST_PLOT_S = 7 * 86400
# Short requests that a plotter or harvester must answer beside its long tasks.
_SPARE = 10


@dataclass(frozen=True, slots=True)
class Setup:
    """A process as it is about to run.

    node: its node name; None for beat. host: this machine's name in plotman.yaml.
    queues: the consumed ones. pool: class path of its pool. own_pool: whether that is plotman's, or derived.
    concurrency: tasks at once; None for beat. at_once: long tasks of its role at once; None: no limit.
    our_broker, our_backend: whether they are the ones of plotman.yaml.
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
    """All settings with which plotman cannot or should not run, worst first."""
    found = [*_messages(setup), *(_worker(setup, setup.node) if setup.node else ())]
    return tuple(sorted(found, key=lambda finding: -finding.severity))


def _messages(setup: Setup) -> Iterator[Finding]:
    if not setup.our_broker:
        yield Finding(
            "The broker is not the one that plotman.yaml names.",
            "Tasks would go to one Redis, and snapshots to another.",
            "Unset CELERY_BROKER_URL and its like, omit -b, and write farm.broker in plotman.yaml.",
            FindingLevel.FATAL,
        )
    if not setup.our_backend:
        yield Finding(
            "Results do not go to the broker that plotman.yaml names.",
            "The farm does not find them.",
            "Unset CELERY_RESULT_BACKEND, and omit --result-backend.",
            FindingLevel.FATAL,
        )
    if not setup.json_only:
        yield Finding(
            "Messages other than JSON are accepted or sent.",
            "With pickle, everyone who reaches Redis can run code here.",
            "Remove what changes accept_content, task_serializer or result_serializer.",
            FindingLevel.FATAL,
        )
    if setup.visibility_timeout_s is not None and setup.visibility_timeout_s < LONGEST_PLOT_S:
        yield Finding(
            f"The broker's visibility_timeout is {setup.visibility_timeout_s:.0f} s.",
            "A plot that takes longer than that may be ordered a second time.",
            f"Keep plotman's value, or set more than {LONGEST_PLOT_S} s.",
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
            "If it dies, they arrive twice or late.",
            "Omit --prefetch-multiplier, and keep worker_disable_prefetch on.",
        )


def _worker(setup: Setup, name: str) -> Iterator[Finding]:
    named = role_and_host(name)
    if named is None:
        roles = ", ".join(Role)
        yield Finding(
            f"The worker's name {name} contains no role.",
            "It would do nothing.",
            f"Start it with -n ROLE@{setup.host} and its -Q (ROLE: {roles}), or by `plotman up`.",
            FindingLevel.FATAL,
        )
        return
    role, host = named
    if host != setup.host:
        yield Finding(
            f"The worker's name is {name}, and plotman.yaml calls this machine {setup.host}.",
            "It would act for another machine.",
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
            "In it tasks cannot reach the state of this process, and cannot be stopped without harm.",
            "Omit -P.",
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
            "The transfers would slow each other down, or wait for each other.",
            f"Start it with -c {setup.at_once}.",
        )
    elif setup.concurrency < setup.at_once + _SPARE:
        yield Finding(
            f"{name} runs at most {setup.concurrency} tasks at once (-c).",
            f"{setup.at_once} long ones and the short requests beside them need {setup.at_once + _SPARE}.",
            "Omit -c.",
        )
