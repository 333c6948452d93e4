"""`directories`: where plots are made, and where they wait to be moved."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from common.config.base import Folder, Section


def _each_once(folders: tuple[str, ...]) -> tuple[str, ...]:
    """Two spellings of a folder are one folder; the first stays."""
    return tuple(dict.fromkeys(folders))


Folders = Annotated[tuple[Folder, ...], Field(min_length=1), AfterValidator(_each_once)]


class Directories(Section):
    """Where plots are made, and where they wait to be moved."""

    tmp: Folders = Field(
        description="Scratch drives: the plots are made here. The scheduler shares the jobs out among them.",
        examples=[["/mnt/tmp/00", "/mnt/tmp/01"]],
    )
    tmp2: Folder | None = Field(
        None, description="A second scratch drive for all plots (-2).", examples=["/mnt/tmp/a"]
    )
    dst: Folders | None = Field(
        None,
        description="Buffer, on drives of this machine: finished plots wait here until they are moved to the "
        "farming drives. Absent: they stay in tmp2, or else in their tmp.",
        examples=[["/mnt/dst/00", "/mnt/dst/01"]],
    )

    def dst_for(self, tmp: str) -> tuple[str, ...]:
        """Where a plot made in `tmp` may go: the dst folders, or tmp2, or else `tmp` itself."""
        if self.dst is not None:
            return self.dst
        return (self.tmp2,) if self.tmp2 is not None else (tmp,)

    @property
    def finished(self) -> tuple[str, ...]:
        """All folders in which finished plots may lie."""
        if self.dst is not None:
            return self.dst
        return (self.tmp2,) if self.tmp2 is not None else self.tmp
