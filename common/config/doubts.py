"""Settings that are allowed, yet hardly what anybody wants. Pure; told by `plotman config check` only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from common.config.model import Config
from common.config.plotting import BladebitMode, PlotterType, Plotting
from common.config.scheduling import Scheduling
from common.phase import Phase

Location = tuple[str | int, ...]

_KEY = re.compile(r"(0x)?[0-9a-fA-F]{96}")  # a G1 point, as `chia keys show` prints it
_ADDRESS = re.compile(r"t?xch1[02-9ac-hj-np-z]{58}")  # bech32m of 32 bytes: 52 characters and 6 of checksum
_LAST_PHASE = Phase(5, 9)  # 5 is the copy to dst; no plotter has more steps in a phase


@dataclass(frozen=True)
class Doubt:
    """location: of the key. what: what follows from its value. cure: what to write instead."""

    location: Location
    what: str
    cure: str


def doubts(config: Config) -> list[Doubt]:
    """All doubtful settings of a configuration that is right as far as it goes."""
    found: list[Doubt] = []
    if config.scheduling:
        found += _scheduling(config.scheduling)
    if config.plotting:
        found += _keys(config.plotting)
        found += _options(config.plotting)
    return found


def _scheduling(scheduling: Scheduling) -> Iterator[Doubt]:
    if scheduling.global_max_jobs == 0:
        yield Doubt(("scheduling", "global_max_jobs"), "is 0: no plot will ever start", "Write 1 or more.")
    yield from _limits(scheduling, ("scheduling",), scheduling.tmpdir_max_jobs, "")
    for folder, own in scheduling.tmp_overrides.items():
        jobs = scheduling.limits(folder).max_jobs
        yield from _limits(scheduling, ("scheduling", "tmp_overrides", folder), jobs, folder)
        if own.tmpdir_max_jobs == 0:
            continue  # the way to take a folder out of use


def _limits(scheduling: Scheduling, location: Location, jobs: int, folder: str) -> Iterator[Doubt]:
    limits = scheduling.limits(folder or "/")
    if not folder and jobs == 0 and not scheduling.tmp_overrides:
        yield Doubt((*location, "tmpdir_max_jobs"), "is 0: no plot will ever start", "Write 1 or more.")
    if limits.stagger_phase > _LAST_PHASE:
        yield Doubt(
            (*location, "tmpdir_stagger_phase_major"),
            f"no plot ever reaches phase {limits.stagger_phase}",
            "Phases go from 1:1 to 4:7; 2:1 suits most drives.",
        )
    if limits.stagger_limit > jobs > 0:
        yield Doubt(
            (*location, "tmpdir_stagger_phase_limit"),
            f"{limits.stagger_limit} is more than tmpdir_max_jobs ({jobs}), so it holds nothing back",
            "Write a smaller number, or more tmpdir_max_jobs.",
        )


def _keys(plotting: Plotting) -> Iterator[Doubt]:
    for name in ("farmer_pk", "pool_pk"):
        value = getattr(plotting, name)
        if value is not None and not _KEY.fullmatch(value):
            yield Doubt(
                ("plotting", name),
                f"is not a public key of 96 hexadecimal digits ({len(value)} characters)",
                "Copy it whole from `chia keys show`.",
            )
    address = plotting.pool_contract_address
    if address is not None and not _ADDRESS.fullmatch(address):
        yield Doubt(
            ("plotting", "pool_contract_address"),
            "is not an address that begins with xch1",
            "Copy the pool contract address whole from `chia plotnft show`.",
        )


def _options(plotting: Plotting) -> Iterator[Doubt]:
    """Combinations that the plotters refuse (seen with chia 2.7.5 and bladebit 3.1.1)."""
    chia, chiapos, bladebit = plotting.chia, plotting.chiapos, plotting.bladebit
    if plotting.type is PlotterType.CHIA and chia.k < 25:
        yield Doubt(
            ("plotting", "chia", "k"),
            "`chia plots create` makes k25 and larger",
            "Write type: chiapos, and k under plotting.chiapos.",
        )
    if plotting.type is PlotterType.CHIAPOS and chiapos.k < 21 and chiapos.stripes > 2000:
        yield Doubt(
            ("plotting", "chiapos", "stripes"),
            f"{chiapos.stripes} is too large for k{chiapos.k}",
            "Write stripes: 2000, and n_buckets: 16.",
        )
    if plotting.type is not PlotterType.BLADEBIT:
        return
    if bladebit.mode is BladebitMode.DISK and bladebit.compression:
        yield Doubt(
            ("plotting", "bladebit", "compression"),
            "bladebit 3 does not compress in mode diskplot",
            "Write compression: 0, or another mode.",
        )
    if bladebit.disk_128 and bladebit.disk_16:
        yield Doubt(("plotting", "bladebit", "disk_16"), "excludes disk_128", "Keep one of the two.")
    if bladebit.mode is not BladebitMode.CUDA:
        for name in ("disk_128", "disk_16", "check_plots", "check_threshold", "device"):
            if getattr(bladebit, name) not in (None, False):
                yield Doubt(
                    ("plotting", "bladebit", name),
                    f"counts in mode cudaplot only, and mode is {bladebit.mode.value}",
                    "Remove it, or write mode: cudaplot.",
                )
