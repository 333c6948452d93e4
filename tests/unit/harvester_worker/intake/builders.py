"""A harvester with two drives, which are folders, and a plotter's file; no server and no chiapos."""

from __future__ import annotations

from pathlib import Path

from common.model.messages import Delivery, Reservation
from common.model.plot_name import PlotName
from common.model.snapshot import DriveUse
from common.system.probe import Probe
from common.worker.digests import read_digest
from common.worker.move_step import never
from harvester_worker.drives import part_files
from harvester_worker.drives.plot_index import PlotIndex
from harvester_worker.drives.registry import DriveRegistry
from harvester_worker.intake.admit import Admitter
from harvester_worker.intake.reserve import Limits, ReserveOrder, Reserver
from tests.support.plots import write_plot

SIZE = 50_000


class Harvester:
    def __init__(self, folder: Path) -> None:
        self.one, self.two, dst = (folder / name for name in ("drive1", "drive2", "dst"))
        for path in (self.one, self.two, dst):
            path.mkdir()
        self.source = write_plot(dst, SIZE)
        name = PlotName.parse(self.source.name)
        assert name is not None
        self.plot_id = name.plot_id
        self.uses: dict[str, DriveUse] = {}
        self.looks, self.work, self.index = Probe(), Probe(), PlotIndex()
        self.drives = DriveRegistry(
            lambda: [str(self.one), str(self.two)],
            True,
            self.looks,
            lambda path: self.uses.get(path, DriveUse.ACTIVE),
        )
        self.reserver = Reserver(self.drives, Limits(0, 1), self.index)
        self.admitter = Admitter(self.drives, self.work, 0, plot_index=self.index)

    @property
    def part(self) -> Path:
        return part_files.part_path(str(self.one), self.plot_id)

    @property
    def landed(self) -> Path:
        return self.one / self.source.name

    @property
    def digest(self) -> str:
        return read_digest(self.source, never)

    def order(self, host: str = "p1", size_bytes: int = SIZE) -> ReserveOrder:
        """Without a receiver: as over ssh, nobody but the plotter knows the source's digest."""
        return ReserveOrder(
            host="h1", source_host=host, path=str(self.source), size_bytes=size_bytes, door=False
        )

    def reserve(self) -> Reservation:
        return self.reserver.reserve(self.order())

    def receive(self, content: bytes | None = None) -> Delivery:
        """Reserve, and fill the part as rsync does. content: None: the source's."""
        reservation = self.reserve()
        assert reservation.part is not None
        Path(reservation.part).write_bytes(self.source.read_bytes() if content is None else content)
        return Delivery(reservation=reservation, digest=self.digest)

    def parts(self) -> list[Path]:
        """Parts as of the last survey of the first drive."""
        return [part.path for part in self.drives._seen[str(self.one)].parts]

    def close(self) -> None:
        self.looks.close()
        self.work.close()
