"""Check at start: logs unsafe settings of Redis and Celery, and ends a process that cannot work, with one
line for each reason."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from celery import bootsteps

from common.config import Config
from common.config.broker_url import broker_url
from common.config.watch import load_to_run
from common.errors import BrokerError, ConfigError
from common.model.address import kombu_url
from common.names import Role, role_and_host
from common.store import Board
from common.store.server import ask
from common.store.server_checks import Finding, FindingLevel, server_findings
from common.system.probe import Hanging, Probe, unusable
from common.worker.duplicate_host import mark, neighbour
from common.worker.pool import TaskPool
from common.worker.setup_checks import Setup, setup_findings

log = logging.getLogger(__name__)

AGAIN_S = 3600.0  # settings may change at run time
_FOLDERS_S = 5.0
_TOUCHED_S = 30.0  # each writes to the drive: not at each look
_HANGS_S = 10.0  # more than a write takes on a drive that is busy
_AWAY_S = 5.0
_ANSWER_S = 2.0


class StartupWatch:
    """Checks the server's settings in a thread, at the start and each hour, and keeps the findings. Retries
    while the server is away. Looks each few seconds whether a folder of this plotman can be written to.

    folders: what each is for -> its path.
    """

    def __init__(
        self, url: str, found: Iterable[Finding] = (), folders: Mapping[str, Path] | None = None
    ) -> None:
        self._url = url
        self._folders = folders or {}
        self._probe = Probe()
        self.full: tuple[str, ...] = ()
        self._touch_s = 0.0
        self._setup = tuple(found)
        self._server: tuple[Finding, ...] = ()
        self._logged: set[str] = set()
        self._ending = threading.Event()
        self._checked = threading.Event()
        self._thread = threading.Thread(target=self._run, name="check settings", daemon=True)

    def start(self) -> None:
        """Start; waits briefly for the first answer, so that the first snapshot has it."""
        self._log(self._setup)
        self._thread.start()
        self._checked.wait(_ANSWER_S)

    def stop(self) -> None:
        self._ending.set()

    def problems(self) -> tuple[str, ...]:
        """Findings that need action, one sentence each; for the snapshot."""
        return tuple(str(f) for f in (*self._setup, *self._server) if f.severity >= FindingLevel.WARNING)

    def check(self) -> bool:
        """Check once; returns False if the server is away."""
        try:
            # The clock is measured with each snapshot (worker.publisher).
            self._server = server_findings(replace(ask(self._url), skew_s=None))
        except BrokerError as error:
            log.debug("the server's settings are checked later: %s", error)
            return False
        self._log(self._server)
        return True

    def check_folders(self) -> None:
        """Look whether the folders are full, read-only, or on a drive that hangs."""
        touched = time.monotonic() >= self._touch_s
        if touched:
            self._touch_s = time.monotonic() + _TOUCHED_S
        look = partial(unusable, touched=touched)
        answers = self._probe.run_all(map(str, self._folders.values()), look, _HANGS_S)
        self.full = tuple(
            f"The folder of {what}, {path}, {_sentence_end(answer)}: no new plots start."
            for what, path in self._folders.items()
            if (answer := answers[str(path)]) is not None
        )
        self._log(Finding(sentence, "", "") for sentence in self.full)

    def _run(self) -> None:
        next_s = 0.0
        while True:
            self.check_folders()
            if time.monotonic() >= next_s:
                next_s = time.monotonic() + (AGAIN_S if self.check() else _AWAY_S)
            self._checked.set()
            if self._ending.wait(_FOLDERS_S):
                return

    def _log(self, findings: Iterable[Finding]) -> None:
        """Log each finding once, and not each hour."""
        for finding in findings:
            if finding.what not in self._logged:
                self._logged.add(finding.what)
                level = logging.INFO if finding.severity is FindingLevel.NOTE else logging.WARNING
                log.log(level, "%s", finding, extra={"action": "unsafe-setting"})


def _sentence_end(answer: str | Hanging) -> str:
    if isinstance(answer, Hanging):
        return "does not answer. Check its drive"
    return f"{answer}. {'Mount it for writing' if answer.endswith('read-only') else 'Free space there'}"


_watch: StartupWatch | None = None


def problems() -> tuple[str, ...]:
    """Findings of this process' check at start, one sentence each."""
    return _watch.problems() if _watch else ()


def full_folders() -> tuple[str, ...]:
    """Folders of this process' plotman that are full, one sentence each."""
    return _watch.full if _watch else ()


class StartCheck(bootsteps.StartStopStep):
    """The check in every worker, before its other parts start."""

    requires: ClassVar = {"celery.worker.components:Timer"}

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._settings = load_to_run()
        self._findings = findings_or_exit(lambda: setup_of_worker(worker, self._settings))
        _exit_if_fatal(_neighbours(worker.hostname, self._settings))

    def start(self, worker: Any) -> None:  # noqa: ARG002
        global _watch  # noqa: PLW0603  one worker per process; its snapshots need to find it
        _watch = StartupWatch(broker_url(self._settings), self._findings, _folders(self._settings))
        _watch.start()

    def stop(self, worker: Any) -> None:  # noqa: ARG002
        if _watch is not None:
            _watch.stop()

    terminate = stop


def _folders(settings: Config) -> dict[str, Path]:
    folders = {"plotman's state": settings.state_dir}
    return folders | ({"the plots' logs": settings.plots_log_dir} if settings.plotting else {})


def check_beat(app: Any, settings: Config) -> StartupWatch:
    """Run the check in beat: of its broker only, since it reads no results. Raises SystemExit as
    `findings_or_exit` does."""
    findings = findings_or_exit(lambda: Setup(node=None, host=settings.host, **_messages_of(app, settings)))
    watch = StartupWatch(broker_url(settings), findings)
    watch.start()
    return watch


def findings_or_exit(setup: Callable[[], Setup]) -> tuple[Finding, ...]:
    """The findings about a process. If one is fatal, logs a line for each and raises SystemExit with
    ConfigError's code: Celery would print a traceback for any other exception."""
    findings = setup_findings(setup())
    _exit_if_fatal(findings)
    return findings


def _exit_if_fatal(findings: Iterable[Finding]) -> None:
    fatal = [finding for finding in findings if finding.severity is FindingLevel.FATAL]
    for finding in fatal:
        log.critical("%s", finding, extra={"action": "unsafe-setting"})
    if fatal:
        raise SystemExit(int(ConfigError.exit_code))


def _neighbours(node_name: str, settings: Config) -> Iterator[Finding]:
    named = role_and_host(node_name)
    # A Redis that is away is no reason not to start: the publisher warns of a duplicate, too.
    with suppress(BrokerError), closing(Board.connect(broker_url(settings))) as board:
        if named and (found := neighbour(board, *named, mark(settings.state_dir))):
            yield found


def setup_of_worker(worker: Any, settings: Config) -> Setup:
    """Read the setup of Celery's `worker`, before its steps have started."""
    pool = worker.pool_cls
    return Setup(
        node=worker.hostname,
        host=settings.host,
        queues=tuple(worker.app.amqp.queues.consume_from),
        pool=f"{pool.__module__}.{pool.__name__}",
        own_pool=isinstance(pool, type) and issubclass(pool, TaskPool),
        concurrency=worker.concurrency,
        at_once=_at_once(worker.hostname, settings),
        our_backend=worker.app.conf.result_backend == kombu_url(broker_url(settings)),
        prefetches=worker.prefetch_multiplier != 1 or not worker.app.conf.worker_disable_prefetch,
        **_messages_of(worker.app, settings),
    )


def _messages_of(app: Any, settings: Config) -> dict[str, Any]:
    conf = app.conf
    url = kombu_url(broker_url(settings))
    return {
        "our_broker": {conf.broker_read_url or url, conf.broker_write_url or url, conf.broker_url} == {url},
        "acks_late": bool(conf.task_acks_late),
        "json_only": {conf.task_serializer, conf.result_serializer, *conf.accept_content} == {"json"},
        "visibility_timeout_s": conf.broker_transport_options.get("visibility_timeout"),
    }


def _at_once(node_name: str, settings: Config) -> int | None:
    named = role_and_host(node_name)
    if named is None:
        return None
    if named[0] is Role.ARCHIVER:
        return settings.archiving.concurrency if settings.archiving else 1
    if named[0] is Role.PLOTTER and settings.scheduling:
        return settings.scheduling.global_max_jobs
    return 1
