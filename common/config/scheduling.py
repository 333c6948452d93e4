"""`scheduling`: when a plot may start, and in which tmp folder."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field

from common.config.base import MOST_JOBS, YEAR_M, Folder, Section
from common.model.phase import Phase
from common.model.windows import checked


class StallAction(StrEnum):
    """What becomes of a plot that stands still for too long."""

    TELL = "tell"
    SUSPEND = "suspend"
    KILL = "kill"


class TmpLimits(NamedTuple):
    """The limits of a tmp folder. A new job may start there when fewer than `stagger_limit` of its jobs
    are before `stagger_phase` and fewer than `max_jobs` run."""

    max_jobs: int
    stagger_phase: Phase
    stagger_limit: int


class TmpOverride(Section):
    """What is different for one tmp folder; None: the same as for all."""

    tmpdir_stagger_phase_major: int | None = Field(
        None, ge=0, description="Phase, together with the minor.", examples=[1]
    )
    tmpdir_stagger_phase_minor: int | None = Field(
        None, ge=0, description="Step in the phase, together with the major.", examples=[5]
    )
    tmpdir_stagger_phase_limit: int | None = Field(
        None, ge=1, description="Jobs before that phase.", examples=[1]
    )
    tmpdir_max_jobs: int | None = Field(
        None, ge=0, le=MOST_JOBS, description="Jobs in this folder.", examples=[5]
    )


def _said(overrides: Any) -> Any:
    """Without folders that nothing is said of: all the lines below one may be commented out."""
    if not isinstance(overrides, dict):
        return overrides or {}
    return {folder: own for folder, own in overrides.items() if own is not None}


class Scheduling(Section):
    """When a plot may start, and in which tmp folder."""

    tmpdir_stagger_phase_major: int = Field(
        ge=0,
        description="A tmp folder takes a new job only while fewer than tmpdir_stagger_phase_limit of its "
        "jobs are before phase major:minor (2:1 is the first step of phase 2).",
        examples=[2],
    )
    tmpdir_stagger_phase_minor: int = Field(ge=0, description="See above.", examples=[1])
    tmpdir_stagger_phase_limit: int = Field(1, ge=1, description="See above.", examples=[1])
    tmpdir_max_jobs: int = Field(
        ge=0, le=MOST_JOBS, description="Most jobs at a time in one tmp folder.", examples=[3]
    )
    global_max_jobs: int = Field(
        ge=0, le=MOST_JOBS, description="Most jobs at a time on this machine.", examples=[12]
    )
    global_stagger_m: float = Field(
        ge=0,
        le=YEAR_M,
        allow_inf_nan=False,
        description="Least time between two starts on this machine, in minutes; 0.1 is six seconds.",
        examples=[30],
    )
    polling_time_s: float = Field(
        20,
        ge=0,
        le=YEAR_M * 60,
        allow_inf_nan=False,
        description="Kept from plotman 0.5: seconds between two looks. Starts no longer wait for it.",
        examples=[20],
    )
    check_room: bool = Field(
        True,
        description="Start only where tmp and dst have room for the plot beside those in the making.",
        examples=[True],
    )
    failure_limit: int = Field(
        3,
        ge=1,
        description="After so many plotters in a row that died at once, start no more until told.",
        examples=[3],
    )
    failure_pause_s: float = Field(
        60,
        ge=0,
        le=86400,
        allow_inf_nan=False,
        description="Pause after the first such failure, in seconds; each further one makes it four times as "
        "long, up to a day.",
        examples=[60],
    )
    windows: tuple[Annotated[str, AfterValidator(checked)], ...] = Field(
        (),
        description="Hours in which plots may start, by this machine's clock; those that run go on. A "
        "window may go over midnight. It may be for some days only, those on which it opens. Absent: at any "
        "time.",
        examples=[["22:00-06:00", "Sat-Sun 00:00-24:00"]],
    )
    stall_action: StallAction = Field(
        StallAction.TELL,
        description="What becomes of a plot that stands still for stall_minutes (no line in its log, no "
        "processor time, no disk access), or that waits so long for room: tell, suspend, or kill with its "
        "files. Never done to plots that were started by hand or only wait for their way to dst.",
        examples=["tell"],
    )
    stall_minutes: float = Field(
        30,
        gt=0,
        le=YEAR_M,
        allow_inf_nan=False,
        description="How long a plot may stand still. Time while somebody has suspended it does not count.",
        examples=[30],
    )
    tmp_overrides: Annotated[dict[Folder, TmpOverride], BeforeValidator(_said)] = Field(
        {},
        description="What is different for single tmp folders, e.g. a larger one that holds more plots.",
        examples=[{"/mnt/tmp/00": {"tmpdir_max_jobs": 5}}],
    )

    def limits(self, tmp: str) -> TmpLimits:
        """The limits that hold for the folder `tmp` (in its one spelling), overrides applied."""
        own = self.tmp_overrides.get(tmp, TmpOverride())

        def pick(override: int | None, common: int) -> int:
            return common if override is None else override

        return TmpLimits(
            max_jobs=pick(own.tmpdir_max_jobs, self.tmpdir_max_jobs),
            stagger_phase=Phase(
                pick(own.tmpdir_stagger_phase_major, self.tmpdir_stagger_phase_major),
                pick(own.tmpdir_stagger_phase_minor, self.tmpdir_stagger_phase_minor),
            ),
            stagger_limit=pick(own.tmpdir_stagger_phase_limit, self.tmpdir_stagger_phase_limit),
        )
