"""Directories whose plots were to leave when this host last ran: one that plotman.yaml named then, and names
no more, is emptied after a restart as well. Written by the plotter's worker, read by the archiver, too."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from common.system import statefile


class _PlotFolders(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    paths: tuple[str, ...] = ()


def former_folders(state_dir: Path) -> tuple[str, ...]:
    """None in a new state folder, nor in one of an earlier release."""
    kept = statefile.read(_path(state_dir), _PlotFolders)
    return kept.paths if kept else ()


def remember(state_dir: Path, paths: tuple[str, ...]) -> None:
    if paths != former_folders(state_dir):
        statefile.keep(_path(state_dir), _PlotFolders(paths=paths), "which directories are to be emptied")


def _path(state_dir: Path) -> Path:
    return state_dir / "plot-folders.json"
