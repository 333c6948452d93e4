"""Notifications of this machine: run them, try them out."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from uuid import uuid4

from common import config
from common.config.last_good import load_to_run
from common.config.notifications import NotificationTarget
from common.config.watch import ConfigWatch, NoSink
from common.errors import ExitCode, PlotmanError
from plotman.control.farm import board
from plotman.notifications.channels import NotDelivered, deliver
from plotman.notifications.notification import Notification
from plotman.notifications.notifier import Notifier

_GRACE_S = 5.0


class NoTarget(PlotmanError):
    """Nobody is to be told, or nobody of that name."""

    exit_code = ExitCode.NOTHING


def run_here(stop: threading.Event) -> None:
    """Tell people until `stop` is set. Raises PlotmanError where another notifier of this machine runs, or
    nobody is to be told."""
    settings = load_to_run()
    _targets(None, settings)
    folder = settings.state_dir
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder / "alarms.lock"):
        notifier = Notifier(board(), settings.notifications, folder / "alarms.json")
        # Beside beat or the workers, which tell the farm of a plotman.yaml that is refused.
        watch = ConfigWatch(settings, None, lambda new: notifier.follow(new.notifications), NoSink())
        watch.start()
        notifier.run(stop)
        watch.stop()


def try_out(name: str | None) -> Iterator[tuple[str, str | None]]:
    """(target, why it was not told; None: it was) of each target, or of the named one. Raises NoTarget."""
    settings = config.load()
    for target_name, target in _targets(name, settings).items():
        told = Notification(
            id=uuid4().hex,
            kind="test",
            host=settings.host,
            at=datetime.now(UTC),
            text=f"plotman on {settings.host} can tell you what happens in the farm",
        )
        yield target_name, _why_not(target, told)


def _targets(name: str | None, settings: config.Config) -> dict[str, NotificationTarget]:
    targets = settings.notifications.targets
    if not targets:
        raise NoTarget(
            "plotman.yaml tells nobody.", "Add notifications.targets (`plotman config generate` shows it)."
        )
    if name is None:
        return targets
    if name not in targets:
        raise NoTarget(f"There is no target {name}.", f"There are: {', '.join(targets)}.")
    return {name: targets[name]}


def _why_not(target: NotificationTarget, told: Notification) -> str | None:
    """None: it was told. In a thread: a service may hang in ways of its own."""
    answers: SimpleQueue[str | None] = SimpleQueue()

    def tell() -> None:
        try:
            deliver(target, [told])
            answers.put(None)
        except NotDelivered as error:
            answers.put(str(error))
        except Exception as error:  # noqa: BLE001  as in plotman.notifications.delivery
            answers.put(f"It broke off with {type(error).__name__}.")

    threading.Thread(target=tell, daemon=True).start()
    try:
        return answers.get(timeout=target.timeout_s + _GRACE_S)
    except Empty:
        return f"No answer within {target.timeout_s:g} s."


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Two that share a memory would both tell. Raises PlotmanError."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PlotmanError(
                f"A notifier of this machine runs already ({path} is locked).", "`plotman up` runs one."
            ) from None
        yield
