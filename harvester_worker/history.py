"""History of the plots that a harvester took in or refused (common.history)."""

from __future__ import annotations

from datetime import UTC, datetime

from common.config import Config
from common.history.recorder import Recorder, history_path
from common.history.rows import End, HistoryKind, LandingEnd
from common.model.messages import Admission, Delivery
from common.model.plot_name import plot_id_of
from common.names import Role
from harvester_worker.replot.journal import Victim

_ID_DIGITS = 8  # of ids in the rows


class LandingHistory(Recorder):
    """Records admissions and refusals. No method waits."""

    def __init__(self, settings: Config) -> None:
        self._host = settings.host
        file = history_path(settings.state_dir, Role.HARVESTER)
        super().__init__(file, HistoryKind.LANDINGS, lambda: None, settings.history_kept)

    def landed(self, delivery: Delivery, admission: Admission, began_at: datetime) -> None:
        """Record that a plot was taken in. began_at: start of the checks."""
        self._record(
            delivery,
            began_at,
            key=admission.landed,
            end=End.LANDED,
            path=admission.landed,
            admit_s=admission.took_s,
            verified=admission.verified,
        )

    def refused(self, delivery: Delivery, reason: str, began_at: datetime) -> None:
        """Record that a plot was refused. Arguments as in `landed`."""
        key = f"{delivery.reservation.source_host}:{delivery.reservation.path}:{reason}"
        self._record(delivery, began_at, key=key, end=End.REFUSED, reason=reason)

    def replaced(self, old: Victim) -> None:
        """Record that an old plot was deleted, once, however often it is called."""
        new = " ".join(plot_id[:_ID_DIGITS] for plot_id in old.uses)
        self.put(
            LandingEnd(
                key=f"{old.path}:{old.inode}",
                host=self._host,
                ended_at=datetime.now(UTC),
                end=End.REPLACED,
                plot_id=old.plot_id,
                path=str(old.path),
                size_bytes=old.size_bytes,
                drive=old.drive,
                verified=f"of class {old.class_name}, for the new plots {new}",
            )
        )

    def _record(self, delivery: Delivery, began_at: datetime, **known: object) -> None:
        reservation = delivery.reservation
        row = LandingEnd.model_validate(
            {
                "host": self._host,
                "started_at": began_at,
                "ended_at": datetime.now(UTC),
                "plot_id": plot_id_of(reservation.path),
                "size_bytes": reservation.size_bytes,
                "source_host": reservation.source_host,
                "source": reservation.path,
                "drive": reservation.drive,
                "transfer_s": delivery.took_s or None,
                "sent_bytes": delivery.sent_bytes or None,
            }
            | known
        )
        self.put(row)
