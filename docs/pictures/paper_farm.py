"""A farm of four hosts for pictures: a real Redis with the snapshots that two plotters and two harvesters of
k32 plots would write."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from common.config.broker_url import broker_dir  # noqa: E402
from common.errors import BrokerError  # noqa: E402
from common.model.snapshot import (  # noqa: E402
    ArchiverSnapshot,
    DiskHealth,
    DriveUse,
    Event,
    FinishedPlot,
    HarvesterSnapshot,
    Job,
    PlotState,
    Recipe,
    Snapshot,
    Transfer,
    Wait,
    Waits,
    later,
)
from common.names import Role  # noqa: E402
from common.store import Board  # noqa: E402
from plotman.supervisor import broker  # noqa: E402
from tests.support.paper import GB, T  # noqa: E402
from tests.support.showcase import drive, job, plot_id, plotter, sums, tally, tmp_dir  # noqa: E402

MADMAX = Recipe(plotter="madmax", k=32, tmp_bytes=220 * GB, tmp2_bytes=0, dst_bytes=109 * GB)
# When the plots of each plotter began, in minutes ago, with phase and percent: a plot takes 38 minutes.
_RUNNING = {
    "zen1": [(33.0, "4:0", 88.0), (20.5, "2:3", 53.0), (8.0, "1:4", 21.0)],
    "zen2": [(27.0, "3:2", 71.0), (12.5, "1:6", 33.0)],
}
_SENT_BYTES = 66 * GB


def _job(host: str, index: int, minutes: float, phase: str, percent: float) -> Job:
    number = 10 * int(host[-1]) + index
    return job(
        number,
        f"/mnt/tmp/{index % 2 + 1}",
        phase,
        percent,
        plotter="madmax",
        started_at=T - timedelta(minutes=minutes),
        eta_s=60 * (38 - minutes),
        dst="/mnt/dst/1",
        tmp_used_bytes=int(220 * GB * (0.4 + 0.2 * index)),
    )


def _plotter(host: str) -> Snapshot:
    running = _RUNNING[host]
    ready = FinishedPlot(
        path=f"/mnt/dst/1/plot-k32-2026-11-22-11-58-{plot_id(70)}.plot",
        size_bytes=109 * GB,
        state=PlotState.READY,
        since=T,
        plot_id=plot_id(70),
    )
    tmps = tuple(tmp_dir(f"/mnt/tmp/{number}", max_jobs=2) for number in (1, 2))
    return plotter(
        host,
        *tmps,
        jobs=tuple(_job(host, index, *one) for index, one in enumerate(running)),
        recipe=MADMAX,
        global_max_jobs=len(running),
        global_stagger_s=720,
        last_start_at=T - timedelta(minutes=running[-1][0]),
        plots=(ready,) if host == "zen1" else (),
        tally=tally(37 if host == "zen1" else 24),
    )


def _archiver(host: str) -> Snapshot:
    sending = Transfer(
        path=f"/mnt/dst/1/plot-k32-2026-11-22-11-58-{plot_id(70)}.plot",
        plot_id=plot_id(70),
        size_bytes=109 * GB,
        harvester="nas1",
        drive="/mnt/farm/07",
        started_at=T - timedelta(seconds=60),
        sent_bytes=_SENT_BYTES,
        rate_bytes_s=1_090_000_000,
        eta_s=39,
    )
    sends = (sending,) if host == "zen1" else ()
    return ArchiverSnapshot(host=host, at=T, transfers=sends, tally=tally(36 if sends else 24))


def _harvester(host: str) -> Snapshot:
    count, full = (12, 6) if host == "nas1" else (8, 2)
    drives = []
    for number in range(1, count + 1):
        fields: dict[str, Any] = {"device": f"8:{16 * number}"}
        fields["disk"] = DiskHealth(
            names=(f"sd{chr(97 + number)}",), model="18 TB", fails=False, temperature_c=33 + number % 6
        )
        if number <= full:
            fields |= {"full": True, "free_bytes": 30 * GB}
        if host == "nas1" and number == full + 1:
            fields |= {"reserved_bytes": 109 * GB, "incoming": 1}
        if host == "nas2" and number == count:
            fields["use"] = DriveUse.DRAINING
        drives.append(drive(f"/mnt/farm/{number:02}", 0.002 if number <= full else 0.62, **fields))
    inventory = sums() if host == "nas1" else None
    return HarvesterSnapshot(host=host, at=T, drives=tuple(drives), inventory=inventory)


def _waits() -> Waits:
    waits = (
        Wait(host="zen1", rule="max jobs", reason="max jobs 3/3"),
        Wait(host="zen2", rule="max jobs", reason="max jobs 2/2"),
    )
    return Waits(beat="nas1", at=T, waits=waits)


def _events() -> Iterator[Event]:
    for minutes, kind, host, text, number in (
        (33.0, "plot-started", "zen1", "plot started in /mnt/tmp/1, for /mnt/dst/1", 10),
        (27.0, "plot-started", "zen2", "plot started in /mnt/tmp/1, for /mnt/dst/1", 20),
        (20.5, "plot-started", "zen1", "plot started in /mnt/tmp/2, for /mnt/dst/1", 11),
        (14.0, "plot-done", "zen2", "plot done in 38m, in /mnt/dst/1", 69),
        (12.5, "plot-started", "zen2", "plot started in /mnt/tmp/2, for /mnt/dst/1", 21),
        (11.6, "archived", "nas2", "is on /mnt/farm/03: 30 challenges gave 31 proofs, all valid", 69),
        (8.0, "plot-started", "zen1", "plot started in /mnt/tmp/1, for /mnt/dst/1", 12),
        (1.1, "plot-done", "zen1", "plot done in 38m, in /mnt/dst/1", 70),
        (1.0, "plot-sent", "zen1", "is sent to nas1", 70),
    ):
        at = datetime.now(UTC) - timedelta(minutes=minutes)
        yield Event(kind=kind, host=host, at=at, text=text, plot_id=plot_id(number), size_bytes=109 * GB)


@contextmanager
def paper_farm(folder: Path) -> Iterator[Path]:
    """Run the farm below a folder; yields a plotman.yaml that leads to it."""
    state = folder / "state"
    address = broker.settle(state, print)
    redis = subprocess.Popen(
        broker.argv(state), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=broker_dir(state)
    )
    ending = threading.Event()
    writing = threading.Thread(target=_write, args=(address.url, ending))
    try:
        _answers(address.url)
        writing.start()
        config = folder / "plotman.yaml"
        config.write_text(
            f"version: [2]\nfarm: {{host: desk, broker: '{address.url}', state: {folder / 'desk'}}}\n",
            encoding="utf-8",
        )
        yield config
    finally:
        ending.set()
        if writing.is_alive():
            writing.join()
        redis.terminate()
        redis.wait()


def _answers(url: str) -> None:
    board = Board.connect(url)
    deadline = time.monotonic() + 30
    while True:
        try:
            return board.ping()
        except BrokerError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _write(url: str, ending: threading.Event) -> None:
    """Renew the snapshots until the end, as workers do, and the lease and the waits as beat does."""
    board = Board.connect(url)
    lease = board.lease("nas1 1:1")
    for event in _events():
        board.tell(event)
    began = datetime.now(UTC)
    while True:
        lease.take()
        for host in _RUNNING:
            board.put_snapshot(Role.PLOTTER, later(_plotter(host), began - T))
            board.put_snapshot(Role.ARCHIVER, later(_archiver(host), began - T))
        for host in ("nas1", "nas2"):
            board.put_snapshot(Role.HARVESTER, later(_harvester(host), began - T))
        board.put_waits(later(_waits(), datetime.now(UTC) - T))
        if ending.wait(2):
            return
