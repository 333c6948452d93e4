"""Tells one target: through Apprise, or by running a hook. May block; whoever calls sets the deadline."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
from collections.abc import Sequence

from common.config.notifications import NotificationTarget
from common.errors import PlotmanError
from common.model.notification_kinds import Severity
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
    """A target was not told; the message never holds its address."""


def deliver(target: NotificationTarget, told: Sequence[Notification]) -> None:
    """Tell them as one message; a command is run for each. Raises NotTold."""
    if target.url is not None:
        _by_apprise(target.url.get_secret_value(), told)
        return
    for one in told:
        _by_command(target.command or (), target.timeout_s, one)


def _by_apprise(url: str, told: Sequence[Notification]) -> None:
    import apprise  # late: it takes a while, and where only hooks are configured nobody needs it

    # It logs addresses with what is secret in them.
    logging.getLogger("apprise").disabled = True
    robot = apprise.Apprise()
    if not robot.add(url):
        raise NotDelivered(
            "Apprise does not understand the address.", "Compare it with the list of services in its manual."
        )
    kind = apprise.NotifyType(_TYPES[max(one.severity for one in told)])
    if not robot.notify(body=messages.body(told), title=messages.title(told), notify_type=kind):
        raise NotDelivered(
            "The service did not answer, or refused it.", "Check the address, and the network."
        )


def _by_command(argv: Sequence[str], timeout_s: float, one: Notification) -> None:
    """Its whole process group is ended with it: a hook may start what it likes, and leave nothing."""
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
        _, complaint = process.communicate(json.dumps(messages.as_json(one)).encode(), timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise NotDelivered(f"{argv[0]} took longer than {timeout_s:g} s.", "See timeout_s.") from error
    if process.returncode != 0:
        last = complaint[-_STDERR_BYTES:].decode("utf-8", "replace").strip()
        raise NotDelivered(f"{argv[0]} ended with {process.returncode}{f': {last}' if last else ''}.")
