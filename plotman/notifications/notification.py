"""A notification, and the events that become one."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime

from common.model.figures import Notice
from common.model.notification_kinds import KINDS, Severity
from common.model.snapshot import Event
from common.model.text import one_line

# Events that become notifications. Lasting conditions (a lost drive, a silent host, a stalled plot) are found
# in the state of the farm instead: so they are notified even if an event was missed, and only once.
AS_THEY_HAPPEN = frozenset(
    {
        "plot-started",
        "plot-done",
        "plot-failed",
        "plot-killed",
        "archived",
        "transfer-failed",
        "refused",
        "damaged",
        "drive-failed",
        "evacuated",
        "replot-begun",
        "replot-paused",
        "replot-resumed",
        "replot-ended",
        "plot-replaced",
        "replot-done",
        "replot-refused",
        "replot-stopped",
        "not-farmed",
        "config-refused",
        "config-changed",
        "steered",
    }
)
# A plot ends once and reaches its drive once: an event that is repeated after a restart is the same.
_ONCE_A_TASK = frozenset({"plot-started", "plot-done", "plot-failed", "plot-killed"})
_ONCE_A_PLOT = frozenset({"archived"})


# Any worker may publish an event of any text. Longer ones do not fit into a hook's environment.
_Text = Annotated[str, AfterValidator(partial(one_line, longest=1000))]


class Notification(Notice):
    """One notification, its texts cleaned and cut.

    id: the same for all notifiers of the farm. kind: of model.notification_kinds. subject: directory, drive
    or plot; None for a host or the farm. shared: False if each notifier sends it by itself.
    """

    id: _Text
    kind: _Text
    host: _Text
    at: AwareDatetime
    text: _Text
    subject: _Text | None = None
    plot_id: _Text | None = None
    shared: bool = True

    @property
    def severity(self) -> Severity:
        kind = KINDS.get(self.kind)
        return kind.severity if kind else Severity.INFO


def of_event(event: Event) -> Notification | None:
    """Make the notification of an event; None if its kind is not notified."""
    if event.kind not in AS_THEY_HAPPEN:
        return None
    if event.kind in _ONCE_A_TASK and event.task_id:
        which = event.task_id
    elif event.kind in _ONCE_A_PLOT and event.plot_id:
        which = event.plot_id
    else:
        which = f"{event.at.timestamp():.6f}:{event.plot_id or ''}"
    return Notification(
        id=f"{event.kind}:{event.host}:{which}",
        kind=event.kind,
        host=event.host,
        at=event.at,
        text=event.text,
        plot_id=event.plot_id,
    )
