"""What a role's Celery worker serves for as long as it lives, and how its tasks find that."""

from __future__ import annotations

import logging
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from celery import bootsteps

from common.config import Config
from common.config.broker_url import broker_url
from common.config.last_good import load_to_run
from common.errors import OrderRefused
from common.names import Role, role_and_host
from common.store import Board

log = logging.getLogger(__name__)


class Servant(Protocol):
    """One host's part in a role."""

    @property
    def host(self) -> str: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...


S = TypeVar("S", bound=Servant)


class Served(Generic[S]):
    """The one of this process; a process has one worker.

    refusal: start of the sentence that a task for another host is answered with, which ends with that host.
    """

    def __init__(self, refusal: str) -> None:
        self._refusal = refusal
        self._now: S | None = None

    def by(self, host: str) -> S:
        """The servant of `host`. Raises OrderRefused where this process has none, or that of another."""
        if self._now is None or self._now.host != host:
            raise OrderRefused(f"{self._refusal} {host}.", "Send the task to the queue of its host.")
        return self._now

    def begin(self, servant: S) -> None:
        """From now on it is found, and starts."""
        self._now = servant
        servant.start()

    def end(self) -> None:
        """Stop it, if there is one, and find it no more."""
        servant, self._now = self._now, None
        if servant is not None:
            servant.stop()


class ServiceStep(bootsteps.StartStopStep):
    """Makes what its role serves when the worker named ROLE@HOST starts, once its setup was found sound, and
    stops it with the worker. Does nothing in any other worker."""

    requires: ClassVar = {"celery.worker.components:Pool", "common.worker.startup:StartCheck"}
    role: ClassVar[Role]
    served: ClassVar[Served[Any]]

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        named = role_and_host(worker.hostname)
        self.enabled = named is not None and named[0] is self.role

    def make(self, settings: Config, board: Board, worker: Any) -> Servant:
        """What is to be served on this machine. worker: Celery's."""
        raise NotImplementedError

    def start(self, worker: Any) -> None:
        settings = load_to_run()
        self.served.begin(self.make(settings, Board.connect(broker_url(settings)), worker))
        log.info("%s %s is up", self.role.value, settings.host)

    def stop(self, worker: Any) -> None:  # noqa: ARG002
        self.served.end()

    terminate = stop
