"""Folders of the quick start's farm: scratch, buffer, drives, and what the programs keep."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_PLOT = re.compile(r"plot-k\d+-.*?([0-9a-f]{64})\.plot\Z")


@dataclass(frozen=True)
class Layout:
    """A farm below one folder, an absolute path. Drives are plain folders here."""

    root: Path

    @property
    def tmp(self) -> tuple[Path, ...]:
        return tuple(self.root / "tmp" / str(number) for number in (1, 2))

    @property
    def dst(self) -> tuple[Path, ...]:
        return tuple(self.root / "dst" / str(number) for number in (1, 2))

    @property
    def drives(self) -> tuple[Path, ...]:
        return tuple(self.root / "drives" / str(number) for number in (1, 2, 3, 4))

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def logs(self) -> Path:
        """Of the plotters, and of `plotman up`."""
        return self.root / "logs"

    @property
    def chia(self) -> Path:
        """What chia keeps: its CHIA_ROOT and CHIA_KEYS_ROOT are below, nothing is in the home folder."""
        return self.root / "chia"

    @property
    def config(self) -> Path:
        return self.root / "plotman.yaml"

    def create(self) -> None:
        """Make what is not there. Raises OSError."""
        for folder in (*self.tmp, *self.dst, *self.drives, self.state, self.logs, self.chia):
            folder.mkdir(parents=True, exist_ok=True)


def plots_in(folders: tuple[Path, ...]) -> dict[str, Path]:
    """Complete plots in these folders: plot id -> file. A folder that is gone holds none."""
    found = {}
    for folder in folders:
        for path in sorted(folder.glob("plot-*.plot")):
            if match := _PLOT.match(path.name):
                found[match[1]] = path
    return found
