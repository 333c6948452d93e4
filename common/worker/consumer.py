"""Celery's consumer without messages to other workers.

Mingle and gossip share revokes among workers of one queue and hold elections; here every queue has one
worker. Without them a start is a second faster, and no worker broadcasts commands: an ACL can then forbid
machines to command each other (plotman.control.secrets.acl).
"""

from __future__ import annotations

from typing import Any

from celery.worker.consumer import Consumer as CeleryConsumer


class Consumer(CeleryConsumer):
    """Set as `worker_consumer`, so that it applies to workers that are started by hand too."""

    def __init__(self, *args: Any, worker_options: dict[str, Any] | None = None, **options: Any) -> None:
        alone = {"without_mingle": True, "without_gossip": True}
        super().__init__(*args, worker_options={**(worker_options or {}), **alone}, **options)
