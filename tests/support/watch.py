"""The promises of the farm, looked at all the time while a test does its worst."""

from __future__ import annotations

import hashlib
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from common.model.plot_name import SUFFIXES, PlotName
from common.system.plotfile import NotAPlot, Verdict, expected_size_bytes, read_header, whole
from tests.support.lab import Host
from tests.support.machines import MARGIN_BYTES, Machines

_EVERY_S = 0.05


@dataclass(frozen=True)
class Place:
    """Where a plot lies: a directory of a host, which is a drive of a harvester or the dst of a plotter."""

    host: str
    folder: Path


class Watch:
    """Looks from outside at each dst directory and each drive.

    Broken promises are collected in `broken`, a sentence each: a plot that is nowhere; on two drives; a file
    under a plot's name that is not the whole plot, byte for byte as at its source; a drive fuller than its
    margin allows.
    """

    def __init__(self, farm: Machines) -> None:
        self.broken: list[str] = []
        self.looks = 0
        self._farm = farm
        self._digests: dict[str, str] = {}  # plot id -> of the whole plot
        self._places: dict[str, set[Place]] = {}  # plot id -> where it was last seen
        self._checked: dict[tuple[int, ...], str] = {}  # file -> digest
        self._spoilt: set[str] = set()
        self._filled: set[Path] = set()
        self._forgotten: set[str] = set()
        self._evacuated: set[Path] = set()
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join(timeout=30)

    def spoilt(self, plot: str) -> None:
        """This plot's source is damaged by the test: it must never be on a drive."""
        with self._lock:
            self._spoilt.add(plot)

    def filled(self, drive: Path, by_others: bool = True) -> None:
        """Somebody else fills this drive: its room is no longer ours to answer for."""
        with self._lock:
            (self._filled.add if by_others else self._filled.discard)(drive)

    def evacuates(self, drive: Path, on: bool = True) -> None:
        """A plot on this drive may also be on its next one, until it is deleted here."""
        with self._lock:
            (self._evacuated.add if on else self._evacuated.discard)(drive)

    def forget(self, plot: str) -> None:
        """The test takes this plot away."""
        with self._lock:
            self._forgotten.add(plot)
            self._places.pop(plot, None)

    def known(self) -> set[str]:
        """Ids of all plots that were ever whole."""
        with self._lock:
            return set(self._places)

    def on_drives(self) -> dict[str, set[Place]]:
        """Plot id -> the drives on which it lies, of those that were seen at the last look."""
        with self._lock:
            return {
                plot: drives
                for plot, places in self._places.items()
                if (drives := {place for place in places if place.host in self._farm.harvesters})
            }

    def at_home(self) -> set[str]:
        """Ids of the plots that are not on a drive yet."""
        return self.known() - self.on_drives().keys()

    def _run(self) -> None:
        while not self._ending.wait(_EVERY_S):
            with self._lock:
                try:
                    self.look()
                except Exception as error:  # noqa: BLE001  a watcher that died would see nothing broken
                    self._say(f"the watcher itself failed: {error!r}")

    def look(self) -> None:
        """One look. Sources first: a plot that leaves its source in between is seen on its drive."""
        self.looks += 1
        seen: dict[str, set[Place]] = {}
        looked_at: set[Place] = set()
        for name, plotter in list(self._farm.plotters.items()):
            self._look_at(plotter.host, plotter.dst, name, seen, looked_at, farmed=False)
        for name, harvester in list(self._farm.harvesters.items()):
            for drive in harvester.drives.values():
                self._look_at(harvester.host, drive, name, seen, looked_at, farmed=True)
        for plot, places in seen.items():
            self._compare(plot, places)
        for plot in self._places.keys() - seen.keys():
            if self._places[plot] <= looked_at:
                self._say(f"lost: plot {plot[:8]}, last seen at {self._places[plot]}")
        for plot in self._places.keys() | seen.keys():
            hidden = self._places.get(plot, set()) - looked_at
            if places := hidden | seen.get(plot, set()):
                self._places[plot] = places

    def _compare(self, plot: str, places: set[Place]) -> None:
        drives = [
            place
            for place in places
            if place.host in self._farm.harvesters and place.folder not in self._evacuated
        ]
        if len(drives) > 1:
            self._say(f"twice: plot {plot[:8]} is on {drives}")
        if drives and plot in self._spoilt:
            self._say(f"spoilt: plot {plot[:8]} is on {drives}")

    def _look_at(
        self,
        host: Host,
        folder: Path,
        name: str,
        seen: dict[str, set[Place]],
        looked_at: set[Place],
        farmed: bool,
    ) -> None:
        """Add what lies there. A host that is off, a drive that is not mounted: nothing is seen of it."""
        place = Place(name, folder)
        try:
            here = host.seen(folder)
            drive = next(each for each in host.drives.values() if each.path == folder)
            if not drive.is_mounted(host):
                return
            files = [entry.name for entry in os.scandir(here)]
            if farmed:
                self._room(here, folder)
                self._incoming(here / ".incoming", folder)
            found: set[str] = set()
            for file in files:
                plot = PlotName.parse(file)
                if plot is not None and plot.plot_id not in self._forgotten:
                    self._whole(here / file, plot.plot_id, farmed)
                    found.add(plot.plot_id)
        except (OSError, AssertionError):
            return  # it went away meanwhile
        looked_at.add(place)
        for plot_id in found:
            seen.setdefault(plot_id, set()).add(place)

    def _room(self, here: Path, drive: Path) -> None:
        figures = os.statvfs(here)
        free_bytes = figures.f_bavail * figures.f_frsize
        # Directories and extents take a few blocks of the margin.
        if free_bytes < MARGIN_BYTES - 200_000 and drive not in self._filled:
            self._say(f"overfilled: {drive} has {free_bytes} bytes left")

    def _incoming(self, here: Path, drive: Path) -> None:
        with suppress(FileNotFoundError):
            for entry in os.scandir(here):
                if entry.name.endswith(SUFFIXES):
                    self._say(f"half a plot under a plot's name: {drive}/.incoming/{entry.name}")

    def _whole(self, file: Path, plot: str, farmed: bool) -> None:
        """A file that carries a plot's name is that plot, whole, from the first moment on."""
        try:
            status = file.stat()
        except FileNotFoundError:
            raise AssertionError from None  # listed and gone: look at the whole directory again
        fingerprint = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, hash(file))
        if fingerprint in self._checked:
            return
        if plot in self._spoilt and not farmed:
            return
        try:
            header = read_header(file)
        except NotAPlot as error:
            self._say(f"no plot under a plot's name: {error}")
            return
        expected_bytes, found = expected_size_bytes(header), whole(file, header)
        if found.verdict is not Verdict.COMPLETE or expected_bytes not in (None, status.st_size):
            self._say(f"half a plot under a plot's name: {file}, {status.st_size} bytes, {found.reason}")
        digest = hashlib.blake2b(file.read_bytes()).hexdigest()
        self._checked[fingerprint] = digest
        if self._digests.setdefault(plot, digest) != digest:
            self._say(f"changed: {file} is not what it was at its source")

    def _say(self, sentence: str) -> None:
        if sentence not in self.broken:
            self.broken.append(sentence)
