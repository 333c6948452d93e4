"""Deliver notifications to one target: by Apprise, or by running a hook. May block."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
from collections.abc import Sequence

from common.config.sections.notifications import NotificationTarget
from common.errors import PlotmanError
from common.model.notification_kinds import Severity
from common.model.text import json_text, one_line
from plotman.notifications import messages
from plotman.notifications.notification import Notification

_TYPES = {
    Severity.INFO: "info",
    Severity.SUCCESS: "success",
    Severity.WARNING: "warning",
    Severity.CRITICAL: "failure",
}
_STDERR_BYTES = 300


class NotDelivered(PlotmanError):
    """A message was not delivered; the error's text never contains the target's address."""


def deliver(target: NotificationTarget, notifications: Sequence[Notification]) -> None:
    """Send the notifications as one message, or run the command for each. Raises NotDelivered."""
    if target.url is not None:
        _by_apprise(target.url.get_secret_value(), notifications)
        return
    for one in notifications:
        _by_command(target.command or (), target.timeout_s, one)


def _by_apprise(url: str, notifications: Sequence[Notification]) -> None:
    import apprise  # late: it is slow to import, and hooks do not need it

    # It logs addresses with their secrets.
    logging.getLogger("apprise").disabled = True
    robot = apprise.Apprise()
    service = robot.instantiate(url)
    if not service or not robot.add(service):
        raise NotDelivered(
            "Apprise does not understand the address.", "Compare it with the list of services in its manual."
        )
    if service.overflow_mode is apprise.OverflowMode.UPSTREAM:
        # Services refuse what is too long for them. Apprise knows the limits of each.
        service.overflow_mode = apprise.OverflowMode.TRUNCATE
    kind = apprise.NotifyType(_TYPES[max(one.severity for one in notifications)])
    title, body = messages.title(notifications), messages.body(notifications)
    if not robot.notify(body=body, title=title, notify_type=kind):
        raise NotDelivered(
            "The service did not answer, or refused it.", "Check the address, and the network."
        )


def _by_command(argv: Sequence[str], timeout_s: float, one: Notification) -> None:
    """Run a hook. After a timeout its whole process group is killed, so that it leaves no process."""
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=os.environ | messages.as_environment(one),
            start_new_session=True,
        )
    except OSError as error:
        raise NotDelivered(f"{argv[0]} cannot be run: {error.strerror or error}.") from error
    try:
        _, complaint = process.communicate(json_text(messages.as_json(one)).encode(), timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise NotDelivered(f"{argv[0]} took longer than {timeout_s:g} s.", "See timeout_s.") from error
    if process.returncode != 0:
        last = one_line(complaint[-_STDERR_BYTES:].decode("utf-8", "replace").strip())
        raise NotDelivered(f"{argv[0]} ended with {process.returncode}{f': {last}' if last else ''}.")
