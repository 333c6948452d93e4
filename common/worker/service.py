"""The object that a role's Celery worker serves for as long as it lives, and how tasks find it."""

from __future__ import annotations

import logging
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from celery import bootsteps

from common.config import Config
from common.config.broker_url import broker_url
from common.config.watch import load_to_run
from common.errors import OrderRefused
from common.names import Role, role_and_host
from common.store import Board

log = logging.getLogger(__name__)


class Servant(Protocol):
    """Object that serves one role of one host."""

    @property
    def host(self) -> str: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...


S = TypeVar("S", bound=Servant)


class Served(Generic[S]):
    """The servant of this process. refusal: start of the error for a task of another host, whose name
    follows."""

    def __init__(self, refusal: str) -> None:
        self._refusal = refusal
        self._now: S | None = None

    def by(self, host: str) -> S:
        """The servant of `host`. Raises OrderRefused if this process does not serve it."""
        if self._now is None or self._now.host != host:
            raise OrderRefused(f"{self._refusal} {host}.", "Send the task to the queue of its host.")
        return self._now

    def begin(self, servant: S) -> None:
        """Make it available to tasks, and start it."""
        self._now = servant
        servant.start()

    def end(self) -> None:
        """Remove the servant, if there is one, and stop it."""
        servant, self._now = self._now, None
        if servant is not None:
            servant.stop()


class ServiceStep(bootsteps.StartStopStep):
    """Makes and starts its role's servant in the worker named ROLE@HOST, after StartCheck, and stops it with
    the worker. Does nothing in other workers."""

    requires: ClassVar = {"celery.worker.components:Pool", "common.worker.startup:StartCheck"}
    role: ClassVar[Role]
    served: ClassVar[Served[Any]]

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        named = role_and_host(worker.hostname)
        self.enabled = named is not None and named[0] is self.role

    def make(self, settings: Config, board: Board, worker: Any) -> Servant:
        """Make the servant."""
        raise NotImplementedError

    def start(self, worker: Any) -> None:
        settings = load_to_run()
        self.served.begin(self.make(settings, Board.connect(broker_url(settings)), worker))
        log.info("%s %s is up", self.role.value, settings.host)

    def stop(self, worker: Any) -> None:  # noqa: ARG002
        self.served.end()

    terminate = stop
