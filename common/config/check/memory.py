"""Compares the memory that the plotter's documentation asks for with this machine's, and its GPUs'.

Only warnings: the figures are lower bounds of one job, and other releases of a plotter may need less.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import NamedTuple

import psutil

from common.config.model import Config
from common.config.problems import Finding, Level, Location
from common.config.sections.plotter_options import BladebitMode, MadmaxMode, PlotterType
from common.config.sections.plotting import Plotting
from common.model.units import counted

GIB = 1024**3
MIB = 1024**2
_SMI_DEADLINE_S = 10.0
_MIB_TEXT = re.compile(r"[0-9]{1,9}")
# A machine sold with 256 GiB shows some percent less: firmware and kernel keep them.
_SHOWN = 0.95

# bladebit 3's documentation: 416 GiB for ramplot; for cudaplot 256, 128 or 16 GiB, and a GPU of 8 GB.
_BLADEBIT_GIB = {BladebitMode.RAM: 416.0, BladebitMode.CUDA: 256.0}
# xchplot2's REFERENCE.md of September 2026: VRAM of k28, by tier, with its buffer. Without a tier it takes
# the largest that fits. 7 to 14 GiB of host memory.
_XCHPLOT2_MIB = {"plain": 7546, "compact": 5456, "minimal": 3896, "tiny": 1320}
_XCHPLOT2_GIB = 7.0


class MemoryNeed(NamedTuple):
    """What one job needs, in bytes; 0: nothing to check."""

    host_bytes: float = 0
    vram_bytes: float = 0


def need_of(plotting: Plotting, separate_tmp2: bool) -> MemoryNeed:
    """The memory that one job with these settings needs. separate_tmp2: a tmp2 directory is configured."""
    if plotting.type is PlotterType.BLADEBIT:
        return _bladebit(plotting)
    if plotting.type is PlotterType.MADMAX and plotting.madmax.mode is MadmaxMode.GPU:
        return _gigahorse(plotting, separate_tmp2)
    if plotting.type is PlotterType.XCHPLOT2:
        return _xchplot2(plotting)
    return MemoryNeed()


def _bladebit(plotting: Plotting) -> MemoryNeed:
    chosen = plotting.bladebit
    cuda = chosen.mode is BladebitMode.CUDA
    host_gib = _BLADEBIT_GIB.get(chosen.mode, 0.0)
    if cuda and (chosen.disk_16 or chosen.disk_128):
        host_gib = 16.0 if chosen.disk_16 else 128.0
    return MemoryNeed(host_gib * GIB, 8e9 if cuda else 0)


def _gigahorse(plotting: Plotting, separate_tmp2: bool) -> MemoryNeed:
    """Its README: 256 GiB for k32, half of it with tmp2, in proportion to 2**k; 8 GB of VRAM, 4 GB with fewer
    than four streams. With tmp3, too, it needs less, but no figure is published."""
    chosen = plotting.madmax
    full = 256 * GIB * 2.0 ** (chosen.k - 32)
    host = 0.0 if separate_tmp2 and chosen.gpu_tmp3 else full / 2 if separate_tmp2 else full
    return MemoryNeed(host, 8e9 if chosen.k >= 30 and (chosen.gpu_streams or 4) >= 4 else 4e9)


def _xchplot2(plotting: Plotting) -> MemoryNeed:
    chosen, scale = plotting.xchplot2, 2.0 ** (plotting.xchplot2.k - 28)
    without_gpu = chosen.devices is not None and all(
        one.strip().startswith("cpu") for one in chosen.devices.split(",")
    )
    vram = 0 if without_gpu else _XCHPLOT2_MIB.get(chosen.tier or "tiny", 0) * MIB * scale
    return MemoryNeed(0 if chosen.max_host_ram else _XCHPLOT2_GIB * GIB * scale, vram)


def memory_lacks(config: Config) -> Iterator[Finding]:
    """Find too little memory of this machine, or of a GPU, for the plotter."""
    plotting = config.plotting
    if plotting is None:
        return
    need = need_of(plotting, config.directories is not None and config.directories.tmp2 is not None)
    most = max(config.scheduling.global_max_jobs if config.scheduling else 1, 1)
    per_gpu = min(plotting.jobs_per_gpu, most)
    jobs = min(len(plotting.gpus) * per_gpu, most) if need.vram_bytes and plotting.gpus else 1
    where: Location = ("plotting", "gpus" if plotting.gpus else "type")
    cure = "Choose a mode that needs less (docs/plotters.md, Memory)" + (
        ", or fewer jobs." if jobs > 1 else "."
    )
    has = psutil.virtual_memory().total
    if has < need.host_bytes * jobs * _SHOWN:
        asks = _asks(plotting, need.host_bytes, jobs)
        yield Finding(where, f"{asks} of memory; this machine has {has / GIB:.1f} GiB", cure, Level.WARNING)
    if need.vram_bytes:
        for what in _gpu_lacks(plotting, need.vram_bytes, per_gpu):
            yield Finding(where, what, cure, Level.WARNING)


def _gpu_lacks(plotting: Plotting, vram_bytes: float, jobs: int) -> Iterator[str]:
    there = gpus()
    if not there:
        return
    if not plotting.gpus:
        if (most := max(gpu.vram_bytes for gpu in there)) < vram_bytes:
            yield f"{_asks(plotting, vram_bytes, 1)} of a GPU's memory; the largest has {most / GIB:.1f} GiB"
        return
    for name in plotting.gpus:
        gpu = next((one for one in there if name == one.number or one.uuid.startswith(name)), None)
        if gpu is None:
            if name.isdigit():  # names of parts of a GPU (MIG) are not listed
                yield f"nvidia-smi lists no GPU {name}"
        elif gpu.vram_bytes < vram_bytes * jobs:
            asks = _asks(plotting, vram_bytes, jobs)
            yield f"{asks} of a GPU's memory; GPU {name} has {gpu.vram_bytes / GIB:.1f} GiB"


def _asks(plotting: Plotting, one_bytes: float, jobs: int) -> str:
    mode = getattr(plotting.options, "mode", None)
    what = f"{plotting.type}{f' {mode}' if mode else ''} with k{plotting.options.k}"
    at_once = f", {counted(jobs, 'job')} at a time {one_bytes * jobs / GIB:.1f} GiB" if jobs > 1 else ""
    return f"a job of {what} needs {one_bytes / GIB:.1f} GiB{at_once}"


class ListedGpu(NamedTuple):
    """A GPU as nvidia-smi lists it."""

    number: str
    uuid: str
    vram_bytes: int


def gpus() -> list[ListedGpu]:
    """The GPUs of NVIDIA in this machine whose memory is known; empty without nvidia-smi, or if it fails."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    asked = "--query-gpu=index,uuid,memory.total"
    try:
        ran = subprocess.run(
            [program, asked, "--format=csv,noheader,nounits"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SMI_DEADLINE_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    rows = (
        [part.strip() for part in line.split(",")]
        for line in ran.stdout.decode(errors="replace").splitlines()
    )
    # "[N/A]" in place of a number: the GPU shares the machine's memory.
    return [
        ListedGpu(row[0], row[1], int(row[2]) * MIB)
        for row in rows
        if len(row) == 3 and _MIB_TEXT.fullmatch(row[2])
    ]
