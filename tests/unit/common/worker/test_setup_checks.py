"""Settings of a Celery process that plotman cannot, or should not, run with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from common.store.server_checks import FindingLevel
from common.worker.setup_checks import LONGEST_PLOT_S, Setup, setup_findings

SOUND = Setup(
    node="plotter@one",
    host="one",
    queues=("plotter.one",),
    pool="common.worker.pool.TaskPool",
    concurrency=1000,
    at_once=10,
    visibility_timeout_s=1e7,
)


def test_nothing_is_said_of_a_worker_as_plotman_up_starts_it() -> None:
    assert setup_findings(SOUND) == ()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"own_pool": False, "pool": "celery.concurrency.prefork.TaskPool"}, "Omit -P"),
        ({"node": "plotter@two"}, "-n plotter@one"),
        ({"node": "celery@one"}, "contains no role"),
        ({"queues": ("celery",)}, "-Q plotter.one"),
        ({"our_broker": False}, "CELERY_BROKER_URL"),
        ({"our_backend": False}, "CELERY_RESULT_BACKEND"),
        ({"json_only": False}, "With pickle"),
    ],
)
def test_what_a_worker_cannot_do_its_work_with_is_fatal_and_has_a_cure(
    changes: dict[str, object], told: str
) -> None:
    found = setup_findings(replace(SOUND, **changes))  # type: ignore[arg-type]
    assert [finding.severity for finding in found] == [FindingLevel.FATAL]
    assert told in str(found[0])
    assert "\n" not in str(found[0])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"visibility_timeout_s": 3600}, "visibility_timeout is 3600 s"),
        ({"visibility_timeout_s": LONGEST_PLOT_S - 1}, "ordered a second time"),
        ({"acks_late": True}, "task_acks_late"),
        ({"prefetches": True}, "--prefetch-multiplier"),
        ({"concurrency": 12}, "need 20"),
        ({"node": "archiver@one", "queues": ("archive.one",), "concurrency": 8, "at_once": 1}, "-c 1"),
    ],
)
def test_what_can_cost_plots_or_time_is_told_and_the_worker_runs(
    changes: dict[str, object], told: str
) -> None:
    found = setup_findings(replace(SOUND, **changes))  # type: ignore[arg-type]
    assert [finding.severity for finding in found] == [FindingLevel.WARNING]
    assert told in str(found[0])


def test_the_worst_comes_first() -> None:
    found = setup_findings(replace(SOUND, acks_late=True, own_pool=False))
    assert [finding.severity for finding in found] == [FindingLevel.FATAL, FindingLevel.WARNING]


def test_of_beat_only_its_messages_are_judged() -> None:
    assert setup_findings(Setup(node=None, host="one", visibility_timeout_s=1e7)) == ()
    assert setup_findings(Setup(node=None, host="one", our_broker=False))
