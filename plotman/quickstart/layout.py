"""Folders of the quick start's farm: tmp, dst, drives, and what the programs keep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """A farm below one folder, `root`, an absolute path. Its drives are plain folders."""

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
        """Logs of the plotters and of `plotman up`."""
        return self.root / "logs"

    @property
    def chia(self) -> Path:
        """chia's CHIA_ROOT and CHIA_KEYS_ROOT lie below it; nothing is written to the home folder."""
        return self.root / "chia"

    @property
    def config(self) -> Path:
        return self.root / "plotman.yaml"

    def create(self) -> None:
        """Make the folders that are missing. Raises OSError."""
        for folder in (*self.tmp, *self.dst, *self.drives, self.state, self.logs, self.chia):
            folder.mkdir(parents=True, exist_ok=True)
