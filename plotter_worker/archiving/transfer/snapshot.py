"""A transfer as the snapshot shows it."""

from __future__ import annotations

from datetime import UTC, datetime

from common.model.messages import Reservation
from common.model.plot_name import plot_id_of
from common.model.snapshot import Transfer
from plotter_worker.archiving.transfer.progress import TransferProgress


def beginning(reservation: Reservation) -> Transfer:
    """It begins now: nothing of it is sent, or compared, yet."""
    return Transfer(
        path=reservation.path,
        plot_id=plot_id_of(reservation.path),
        size_bytes=reservation.size_bytes,
        harvester=reservation.host,
        drive=reservation.drive,
        started_at=datetime.now(UTC),
        compares=reservation.compare,
    )


def going(transfer: Transfer, progress: TransferProgress) -> Transfer:
    """The same, some way on."""
    return transfer.model_copy(
        update={
            "sent_bytes": progress.done_bytes,
            "rate_bytes_s": progress.rate_bytes_s,
            "eta_s": progress.eta_s,
        }
    )
