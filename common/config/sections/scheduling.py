"""`scheduling`: when plots may start, and in which tmp folder."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field

from common.config.sections.base import MOST_JOBS, YEAR_M, Folder, Section
from common.model.phase import Phase
from common.model.windows import checked


class StallAction(StrEnum):
    """What happens to a stalled plot."""

    TELL = "tell"
    SUSPEND = "suspend"
    KILL = "kill"


class TmpLimits(NamedTuple):
    """Limits of a tmp folder. A job may start there while fewer than `max_jobs` run, and fewer than
    `stagger_limit` of them are before `stagger_phase`."""

    max_jobs: int
    stagger_phase: Phase
    stagger_limit: int


class TmpOverride(Section):
    """Limits of one tmp folder that differ; None: the common limit."""

    tmpdir_stagger_phase_major: int | None = Field(
        None, ge=0, description="Phase, as tmpdir_stagger_phase_major above.", examples=[1]
    )
    tmpdir_stagger_phase_minor: int | None = Field(
        None, ge=0, description="Step in the phase, as tmpdir_stagger_phase_minor above.", examples=[5]
    )
    tmpdir_stagger_phase_limit: int | None = Field(
        None, ge=1, description="Jobs before that phase.", examples=[1]
    )
    tmpdir_max_jobs: int | None = Field(
        None, ge=0, le=MOST_JOBS, description="Jobs in this folder.", examples=[5]
    )


def _with_values(overrides: Any) -> Any:
    """Drop folders without values: all lines below one may be commented out."""
    if not isinstance(overrides, dict):
        return overrides or {}
    return {folder: own for folder, own in overrides.items() if own is not None}


class Scheduling(Section):
    """When plots may start, and in which tmp folder."""

    tmpdir_stagger_phase_major: int = Field(
        ge=0,
        description="A job may start in a tmp folder only while fewer than tmpdir_stagger_phase_limit of its "
        "jobs are before phase major:minor. 2:1 is the first step of phase 2.",
        examples=[2],
    )
    tmpdir_stagger_phase_minor: int = Field(ge=0, description="See above.", examples=[1])
    tmpdir_stagger_phase_limit: int = Field(1, ge=1, description="See above.")
    tmpdir_max_jobs: int = Field(
        ge=0, le=MOST_JOBS, description="Largest number of jobs at a time in a tmp folder.", examples=[3]
    )
    global_max_jobs: int = Field(
        ge=0, le=MOST_JOBS, description="Most jobs at a time on this machine.", examples=[12]
    )
    global_stagger_m: float = Field(
        ge=0,
        le=YEAR_M,
        allow_inf_nan=False,
        description="Shortest time between two starts on this machine, in minutes; 0.1 is six seconds.",
        examples=[30],
    )
    polling_time_s: float = Field(
        20,
        ge=0,
        le=YEAR_M * 60,
        allow_inf_nan=False,
        description="Kept from plotman 0.5, without effect: starts do not wait for a poll.",
    )
    check_room: bool = Field(
        True, description="Start a plot only if tmp and dst have space for it beside the running plots."
    )
    failure_limit: int = Field(
        3,
        ge=1,
        description="After this many plotters in a row that died at once, start no more until `plotman "
        "unpause plotting`.",
    )
    failure_pause_s: float = Field(
        60,
        ge=0,
        le=86400,
        allow_inf_nan=False,
        description="Pause after the first of these failures, in seconds. Each further failure makes it four "
        "times as long, up to a day.",
    )
    windows: tuple[Annotated[str, AfterValidator(checked)], ...] = Field(
        (),
        description="Hours in which plots may start, in this machine's local time. Running plots continue "
        "after it. A window may go over midnight; its days are those on which it opens. Absent: any time.",
        examples=[["22:00-06:00", "Sat-Sun 00:00-24:00"]],
    )
    stall_action: StallAction = Field(
        StallAction.TELL,
        description="What to do with a plot that has made no progress for stall_minutes (no line in its "
        "log, no processor time, no disk access, or only waiting for space): tell (report it), suspend, or "
        "kill (and delete its files). Not for plots that were started by hand or wait for their copy to dst.",
    )
    stall_minutes: float = Field(
        30,
        gt=0,
        le=YEAR_M,
        allow_inf_nan=False,
        description="How long a plot may make no progress. Time while it is suspended does not count.",
    )
    tmp_overrides: Annotated[dict[Folder, TmpOverride], BeforeValidator(_with_values)] = Field(
        {},
        description="Limits of single tmp folders, for example of a larger one.",
        examples=[{"/mnt/tmp/00": {"tmpdir_max_jobs": 5}}],
    )

    def limits(self, tmp: str) -> TmpLimits:
        """Limits of the normalized folder `tmp`, overrides applied."""
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
