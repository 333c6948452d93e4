"""Run the notifier of this machine, and send test messages."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from uuid import uuid4

from common import config
from common.config.sections.notifications import NotificationTarget
from common.config.watch import ConfigWatch, NoSink, load_to_run
from common.errors import ExitCode, PlotmanError
from common.store.connection import TIMEOUT_S
from common.store.farm_clock import CLOCK
from common.system import statefile
from plotman.control.farm import board, settings
from plotman.notifications.channels import NotDelivered, deliver
from plotman.notifications.notification import Notification
from plotman.notifications.notifier import Notifier

_GRACE_S = 5.0


class NoTarget(PlotmanError):
    """No target is configured, or none of that name."""

    exit_code = ExitCode.NOTHING


def run_here(stop: threading.Event) -> None:
    """Send notifications until `stop` is set.

    Raises PlotmanError if another notifier of this machine is running or no target is configured.
    """
    here = load_to_run()
    _targets(None, here)
    folder = here.state_dir
    statefile.private_folder(folder)
    with _alone(folder / "alarms.lock"):
        notifier = Notifier(board(TIMEOUT_S), here.notifications, folder / "alarms.json")
        # NoSink: beat or the workers of this machine report a plotman.yaml that is refused.
        watch = ConfigWatch(here, None, lambda new: notifier.apply(new.notifications), NoSink())
        watch.start()
        notifier.run(stop)
        watch.stop()


def try_out(name: str | None) -> Iterator[tuple[str, str | None]]:
    """Send a test message to each target, or to the named one. Raises NoTarget.

    Yields (target, error); None: it was delivered.
    """
    here = settings("notifications")
    for target_name, target in _targets(name, here).items():
        test = Notification(
            id=uuid4().hex,
            kind="test",
            host=here.host,
            at=CLOCK.now(),
            text=f"test: plotman on {here.host} can send you notifications",
        )
        yield target_name, _why_not(target, test)


def _targets(name: str | None, settings: config.Config) -> dict[str, NotificationTarget]:
    targets = settings.notifications.targets
    if not targets:
        raise NoTarget(
            "plotman.yaml has no notification targets.",
            "Add notifications.targets (`plotman config generate` shows it).",
        )
    if name is None:
        return targets
    if name not in targets:
        raise NoTarget(f"There is no target {name}.", f"There are: {', '.join(targets)}.")
    return {name: targets[name]}


def _why_not(target: NotificationTarget, test: Notification) -> str | None:
    """Return why the delivery failed; None: it did not. In a thread, since a service may hang."""
    answers: SimpleQueue[str | None] = SimpleQueue()

    def send() -> None:
        try:
            deliver(target, [test])
            answers.put(None)
        except NotDelivered as error:
            answers.put(str(error))
        except Exception as error:  # noqa: BLE001  as in plotman.notifications.delivery
            answers.put(f"It failed with {type(error).__name__}.")

    threading.Thread(target=send, daemon=True).start()
    try:
        return answers.get(timeout=target.timeout_s + _GRACE_S)
    except Empty:
        return f"No answer within {target.timeout_s:g} s."


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock: two notifiers with one state file would both send. Raises PlotmanError."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PlotmanError(
                f"A notifier of this machine runs already ({path} is locked).", "`plotman up` runs one."
            ) from None
        yield
