"""Settings that are valid but mistakes, or probably some; only for `plotman config check`. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator

from common.config.check.keys import key_findings
from common.config.model import Config
from common.config.problems import Finding, Level, Location
from common.config.sections.plotter_options import (
    BladebitMode,
    ChiaOptions,
    ChiaposOptions,
    MadmaxMode,
    MadmaxOptions,
    PlotterType,
    Xchplot2Options,
)
from common.config.sections.plotting import Plotting
from common.config.sections.scheduling import Scheduling
from common.model.phase import Phase
from common.model.plot_sizes import V1_LEAST_K, V2_K

_LAST_PHASE = Phase(5, 9)  # 5 is the copy to dst; no plotter has more steps in a phase


def doubts(config: Config) -> list[Finding]:
    """All doubtful settings of a valid configuration, as warnings; as errors where every plot would fail."""
    found: list[Finding] = [*_farm(config)]
    if config.replot is not None and not config.runs_scheduler:
        found.append(
            Finding(("replot",), "no scheduler runs on this machine", "Write the section where it runs.")
        )
    if config.scheduling:
        found += _scheduling(config.scheduling)
    if config.plotting:
        found += _options(config.plotting)
    warnings = [one._replace(level=Level.WARNING) for one in found]
    if config.plotting is None:
        return warnings
    return [*warnings, *key_findings(config.plotting), *_bucket_errors(config.plotting)]


def _farm(config: Config) -> Iterator[Finding]:
    if config.farm.max_jobs == 0:
        yield Finding(("farm", "max_jobs"), "is 0: no plot will ever start", "Write 1 or more.")
    if config.runs_flower and config.farm.metrics_port == config.farm.flower_port:
        yield Finding(("farm", "metrics_port"), "is also Flower's port", "Write another, for example 9587.")


def _scheduling(scheduling: Scheduling) -> Iterator[Finding]:
    if scheduling.global_max_jobs == 0:
        yield Finding(("scheduling", "global_max_jobs"), "is 0: no plot will ever start", "Write 1 or more.")
    yield from _limits(scheduling, ("scheduling",), scheduling.tmpdir_max_jobs, "")
    for folder in scheduling.tmp_overrides:
        jobs = scheduling.limits(folder).max_jobs
        yield from _limits(scheduling, ("scheduling", "tmp_overrides", folder), jobs, folder)


def _limits(scheduling: Scheduling, location: Location, jobs: int, folder: str) -> Iterator[Finding]:
    limits = scheduling.limits(folder or "/")
    if not folder and jobs == 0 and not scheduling.tmp_overrides:
        yield Finding((*location, "tmpdir_max_jobs"), "is 0: no plot will ever start", "Write 1 or more.")
    if limits.stagger_phase > _LAST_PHASE:
        yield Finding(
            (*location, "tmpdir_stagger_phase_major"),
            f"no plot ever reaches phase {limits.stagger_phase}",
            "Phases go from 1:1 to 4:7; 2:1 suits most drives.",
        )
    if limits.stagger_limit > jobs > 0:
        yield Finding(
            (*location, "tmpdir_stagger_phase_limit"),
            f"{limits.stagger_limit} is more than tmpdir_max_jobs ({jobs}), so it has no effect",
            "Write a smaller number, or a larger tmpdir_max_jobs.",
        )


def _options(plotting: Plotting) -> Iterator[Finding]:
    """Options that plotters refuse (chia 2.7.5 and bladebit 3.1.1), or that make useless plots."""
    bladebit = plotting.bladebit
    if plotting.type is PlotterType.XCHPLOT2:
        yield from _xchplot2(plotting.xchplot2)
    if plotting.type is PlotterType.MADMAX:
        yield from _madmax(plotting.madmax)
    if plotting.type is not PlotterType.BLADEBIT:
        return
    if bladebit.mode is BladebitMode.DISK and bladebit.compression:
        yield Finding(
            ("plotting", "bladebit", "compression"),
            "bladebit 3 does not compress in mode diskplot",
            "Write compression: 0, or another mode.",
        )
    if bladebit.disk_128 and bladebit.disk_16:
        yield Finding(("plotting", "bladebit", "disk_16"), "excludes disk_128", "Keep one of the two.")
    if bladebit.mode is not BladebitMode.CUDA:
        for name in ("disk_128", "disk_16", "check_plots", "check_threshold", "device"):
            if getattr(bladebit, name) not in (None, False):
                yield Finding(
                    ("plotting", "bladebit", name),
                    f"has an effect in mode cudaplot only, and mode is {bladebit.mode.value}",
                    "Remove it, or write mode: cudaplot."
                    + (" harvester.proofs checks the plots of every plotter." if "check" in name else ""),
                )


def _bucket_errors(plotting: Plotting) -> Iterator[Finding]:
    if plotting.type is PlotterType.CHIA:
        yield from _buckets(("plotting", "chia"), plotting.chia, _CHIA_STRIPES)
    if plotting.type is PlotterType.CHIAPOS:
        yield from _buckets(("plotting", "chiapos"), plotting.chiapos, plotting.chiapos.stripes)


_CHIA_STRIPES = 65536  # `chia plots create` has no option for it
_MOST_BUCKETS = 128


def _buckets(where: Location, options: ChiaOptions | ChiaposOptions, stripes: int) -> Iterator[Finding]:
    """chiapos 2.0.12 needs 16 to 128 buckets, each of at least 30 stripes in its largest table."""
    k, buckets = options.k, options.n_buckets
    if buckets > _MOST_BUCKETS:
        yield Finding((*where, "n_buckets"), "every plot would fail: chia takes 16 to 128", "Write 128.")
        return
    if options.job_buffer < 10:
        yield Finding((*where, "job_buffer"), "every plot would fail: chia takes 10 or more", "Write 3389.")
    fits = int(1.3 * 2**k * -(-(6 * k + 16) // 8) / (30 * stripes))
    if 2 ** round(math.log2(buckets)) <= fits:
        return
    what = f"every plot would fail: {buckets} buckets and {stripes} stripes are too many for k{k}"
    if fits >= 16:
        yield Finding((*where, "n_buckets"), what, f"Write {2 ** int(math.log2(fits))}.")
    elif isinstance(options, ChiaOptions):
        cure = "Write type: chiapos, and k, n_buckets: 16 and stripes: 2000 under plotting.chiapos."
        yield Finding((*where, "k"), "every plot would fail: `chia plots create` makes k21 and larger", cure)
    else:
        yield Finding((*where, "stripes"), what, "Write stripes: 2000, and n_buckets: 16.")


def _madmax(madmax: MadmaxOptions) -> Iterator[Finding]:
    if madmax.mode is MadmaxMode.CPU:
        for name in MadmaxOptions.model_fields:
            if name.startswith("gpu_") and getattr(madmax, name) not in (None, False):
                what = "has an effect in mode gpuplot only, and mode is cpu"
                yield Finding(("plotting", "madmax", name), what, "Remove it, or write mode: gpuplot.")
    elif madmax.executable_gpu is None and madmax.k not in _GPU_KS:
        what = f"Gigahorse has no cuda_plot_k{madmax.k}"
        yield Finding(("plotting", "madmax", "k"), what, f"Write one of {', '.join(map(str, _GPU_KS))}.")
    if madmax.k < V1_LEAST_K and madmax.network_port in (None, _CHIA_PORT):
        yield Finding(
            ("plotting", "madmax", "k"),
            f"Chia's network accepts no plot smaller than k{V1_LEAST_K}",
            f"Write k: {V1_LEAST_K}, unless these plots are only for tests.",
        )


def _xchplot2(options: Xchplot2Options) -> Iterator[Finding]:
    """The network's limits for plots of the new proof of space (CHIP-48)."""
    if options.k != V2_K:
        yield Finding(
            ("plotting", "xchplot2", "k"),
            f"Chia's network accepts k{V2_K} only",
            f"Write k: {V2_K}, unless these plots are only for tests.",
        )
    if options.strength > _MOST_STRENGTH:
        what = f"Chia's network accepts a strength of 2 to {_MOST_STRENGTH}"
        yield Finding(("plotting", "xchplot2", "strength"), what, "Write strength: 2.")


_MOST_STRENGTH = 17
_CHIA_PORT = 8444
_GPU_KS = (26, 29, 30, 31, 32, 33, 34)  # of Gigahorse's releases
