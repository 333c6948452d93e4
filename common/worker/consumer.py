"""Celery's consumer, which does not talk to other workers.

Mingle and gossip serve revokes across workers of one queue and elections; here every queue has one worker.
Without them a start is a second quicker, and a worker never broadcasts a command: an ACL can then deny
machines the right to command each other (plotman.control.secrets.acl).
"""

from __future__ import annotations

from typing import Any

from celery.worker.consumer import Consumer as CeleryConsumer


class Consumer(CeleryConsumer):
    """Set as `worker_consumer`, so that it holds for workers that are started by hand too."""

    def __init__(self, *args: Any, worker_options: dict[str, Any] | None = None, **options: Any) -> None:
        alone = {"without_mingle": True, "without_gossip": True}
        super().__init__(*args, worker_options={**(worker_options or {}), **alone}, **options)
