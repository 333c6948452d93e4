"""Records each attempt of the archiver to send a plot in the history (common.history)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from common.config import Config
from common.history.recorder import Recorder, history_path
from common.history.rows import End, HistoryKind, TransferEnd
from common.model.messages import Delivery
from common.model.plot_name import plot_id_of
from common.names import Role
from common.worker.move_step import StepInterrupted, reason_of


class TransferHistory(Recorder):
    """The history of the archiver. Never waits."""

    def __init__(self, settings: Config, changed: Callable[[], None]) -> None:
        self._host = settings.host
        file = history_path(settings.state_dir, Role.ARCHIVER)
        super().__init__(file, HistoryKind.TRANSFERS, changed, settings.history_kept)

    @contextmanager
    def trying(self, path: str, harvester: str, task_id: str | None) -> Iterator[Callable[[Delivery], None]]:
        """Record how the body ends: it passes its Delivery to the function that this yields, or raises."""
        started_at = datetime.now(UTC)

        def keep(end: End, **known: object) -> None:
            now = datetime.now(UTC)
            self.put(
                TransferEnd.model_validate(
                    {
                        "key": task_id or f"{path}:{started_at.isoformat()}",
                        "host": self._host,
                        "started_at": started_at,
                        "ended_at": now,
                        "end": end,
                        "plot_id": plot_id_of(path),
                        "path": path,
                        "harvester": harvester,
                        "transfer_s": (now - started_at).total_seconds(),
                    }
                    | known
                )
            )

        def delivered(delivery: Delivery) -> None:
            keep(End.SENT, **_sent(delivery))

        try:
            yield delivered
        except StepInterrupted:
            raise
        except Exception as error:
            reason = reason_of(error, self._host)
            keep(End.FAILED, reason=reason)
            raise


def _sent(delivery: Delivery) -> dict[str, object]:
    reservation = delivery.reservation
    known: dict[str, object] = {"drive": reservation.drive, "size_bytes": reservation.size_bytes}
    if delivery.took_s > 0:
        known["transfer_s"] = delivery.took_s
        known["rate_bytes_s"] = (delivery.sent_bytes or reservation.size_bytes) / delivery.took_s
    if delivery.sent_bytes:
        known["sent_bytes"] = delivery.sent_bytes
    return known
