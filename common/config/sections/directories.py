"""`directories`: where plots are made, and where they wait. Keys: all of plotman 0.5.3."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from common.config.problems import Location
from common.config.sections.base import Folder, Section, each_once

Folders = Annotated[tuple[Folder, ...], Field(min_length=1), AfterValidator(each_once)]


class Directories(Section):
    """Where plots are made, and where they wait for their move."""

    tmp: Folders = Field(
        description="Scratch drives, where plots are made. The scheduler distributes the jobs among them.",
        examples=[["/mnt/tmp/00", "/mnt/tmp/01"]],
    )
    tmp2: Folder | None = Field(
        None, description="A second scratch drive for all plots (-2).", examples=["/mnt/tmp/a"]
    )
    dst: Folders | None = Field(
        None,
        description="Buffer on drives of this machine: finished plots wait here for their move to the "
        "farming drives. Absent: they stay in tmp2, or else in tmp.",
        examples=[["/mnt/dst/00", "/mnt/dst/01"]],
    )

    def located(self) -> list[tuple[Location, str]]:
        """Every folder with its place in plotman.yaml."""
        named: list[tuple[Location, str]] = [
            *((("directories", "tmp", index), folder) for index, folder in enumerate(self.tmp)),
            *((("directories", "dst", index), folder) for index, folder in enumerate(self.dst or ())),
        ]
        return [*named, (("directories", "tmp2"), self.tmp2)] if self.tmp2 else named

    def dst_for(self, tmp: str) -> tuple[str, ...]:
        """Where a plot made in `tmp` may go: the dst folders, or else tmp2, or else `tmp`."""
        if self.dst is not None:
            return self.dst
        return (self.tmp2,) if self.tmp2 is not None else (tmp,)

    @property
    def finished(self) -> tuple[str, ...]:
        """All folders that may contain finished plots."""
        if self.dst is not None:
            return self.dst
        return (self.tmp2,) if self.tmp2 is not None else self.tmp
