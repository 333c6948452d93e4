"""The sections `plotting.NAME` of plotman's own plotters.

Keys: all of plotman 0.5.3, and keys of the guydavis fork for which the plotter has an option. Options: chia
2.7.5, chia_plot 1.1.8, bladebit 3.1.1 and xchplot2 of September 2026.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field, field_validator, model_validator

from common.config.sections.base import Folder
from common.config.sections.plotter_packages import PlotterOptions


class PlotterType(StrEnum):
    """The supported plotters."""

    CHIA = "chia"
    CHIAPOS = "chiapos"
    MADMAX = "madmax"
    BLADEBIT = "bladebit"
    XCHPLOT2 = "xchplot2"


class ChiaOptions(PlotterOptions):
    """`chia plots create`: the official plotter, from k25 on."""

    executable: str = Field(
        "chia", description="Name on the PATH, or full path.", examples=["/opt/chia/bin/chia"]
    )
    n_threads: int = Field(2, ge=1, description="Threads of a plot (-r).", examples=[4])
    n_buckets: int = Field(128, ge=16, description="Buckets, 16 to 128 (-u).")
    k: int = Field(32, ge=18, le=50, description="Size of the plots (-k).")
    e: bool = Field(False, description="Plot without bitfield (-e).")
    job_buffer: int = Field(3389, ge=1, description="Memory of a plot in MiB (-b).", examples=[4608])
    x: bool = Field(
        False, description="Leave the final directory out of chia's own list (-x).", examples=[True]
    )

    @property
    def version_arguments(self) -> tuple[str, ...]:
        """chia has no option --version (2.7.5)."""
        return ("version",)


class ChiaposOptions(PlotterOptions):
    """`chia plotters chiapos`: the same plotter for any k from 18 on, for tests with small plots."""

    executable: str = Field(
        "chia", description="Name on the PATH, or full path.", examples=["/opt/chia/bin/chia"]
    )
    k: int = Field(32, ge=18, le=50, description="Size of the plots (-k).", examples=[25])
    n_threads: int = Field(2, ge=1, description="Threads of a plot (-r).", examples=[4])
    n_buckets: int = Field(
        128, ge=16, description="Buckets, 16 to 128 (-u); 16 for k below 25.", examples=[16]
    )
    job_buffer: int = Field(3389, ge=1, description="Memory of a plot in MiB (-b).", examples=[200])
    stripes: int = Field(65536, ge=1, description="Stripe size (-s); 2000 for k below 21.", examples=[2000])
    e: bool = Field(False, description="Plot without bitfield (-e).")

    @property
    def version_arguments(self) -> tuple[str, ...]:
        """chia has no option --version (2.7.5)."""
        return ("version",)


class MadmaxMode(StrEnum):
    """What makes madmax's plots: the processor, or with Gigahorse a GPU."""

    CPU = "cpu"
    GPU = "gpuplot"


class MadmaxOptions(PlotterOptions):
    """madMAx's `chia_plot`, Gigahorse's of the same name, and Gigahorse's `cuda_plot_k32` and the like."""

    executable: str = Field(
        "chia_plot", description="Name on the PATH, or full path.", examples=["/opt/madmax/chia_plot"]
    )
    executable_k34: str = Field(
        "chia_plot_k34", description="The program for k above 32.", examples=["/opt/madmax/chia_plot_k34"]
    )
    k: int = Field(32, ge=16, le=34, description="Size of the plots (-k).")
    n_threads: int = Field(4, ge=1, description="Threads of a plot (-r).", examples=[16])
    # chia_plot reads values below 16 as powers of two, and n_buckets3 0 as n_buckets.
    n_buckets: int = Field(256, ge=4, description="Buckets in phases 1 and 2 (-u); 8 means 256.")
    n_buckets3: int = Field(
        256, ge=0, description="Buckets in phases 3 and 4 (-v); 8 means 256, 0 means n_buckets."
    )
    n_rmulti2: int = Field(1, ge=1, description="Multiplier of threads in phase 2 (-K).")
    tmptoggle: bool = Field(False, description="Alternate tmp and tmp2 (-G).")
    network_port: int | None = Field(
        None, ge=1, le=65535, description="Network of the plots (-x); absent: Chia's.", examples=[8444]
    )
    compression: int = Field(
        0, ge=0, le=33, description="Level of compression (-C), Gigahorse only; 0: none.", examples=[7]
    )
    mode: MadmaxMode = Field(
        MadmaxMode.CPU, description="cpu, or gpuplot for Gigahorse on a GPU.", examples=["gpuplot"]
    )
    executable_gpu: str | None = Field(
        None,
        description="The program for mode gpuplot. Absent: cuda_plot_k32 or the like, by k; cuda_plot_k32_v3 "
        "for a compression of 30 or more.",
        examples=["/opt/gigahorse/cuda_plot_k32"],
    )
    gpu_device: int | None = Field(
        None, ge=0, description="gpuplot: the first GPU (-g); absent: 0.", examples=[0]
    )
    gpu_ndevices: int | None = Field(
        None, ge=1, description="gpuplot: number of GPUs (-r); absent: 1.", examples=[2]
    )
    gpu_streams: int | None = Field(
        None, ge=1, description="gpuplot: parallel streams (-S); absent: 4.", examples=[3]
    )
    gpu_shared_memory: int | None = Field(
        None, ge=1, description="gpuplot: limit of shared memory in GiB (-M); absent: none.", examples=[64]
    )
    gpu_directio: bool = Field(False, description="gpuplot: direct IO to dst (-D).")
    gpu_tmp3: Folder | None = Field(
        None,
        description="gpuplot: a third scratch drive (-3). plotman does not look at its space.",
        examples=["/mnt/tmp/b"],
    )

    @model_validator(mode="before")
    @classmethod
    def _old_word_for_gpu(cls, data: Any) -> Any:
        """Read the fork's earlier `gpu_plot: true` as `mode: gpuplot`."""
        if not isinstance(data, dict) or not isinstance(data.get("gpu_plot"), bool):
            return data
        rest = {key: value for key, value in data.items() if key != "gpu_plot"}
        return {"mode": MadmaxMode.GPU, **rest} if data["gpu_plot"] else rest

    @field_validator("mode", mode="before")
    @classmethod
    def _other_words_for_cpu(cls, mode: Any) -> Any:
        return MadmaxMode.CPU if mode in ("diskplot", "ramplot") else mode

    @property
    def executable_key(self) -> str:
        """madMAx has another program above k32."""
        if self.mode is MadmaxMode.GPU:
            return "executable_gpu"
        return "executable_k34" if self.k > 32 else "executable"

    @property
    def chosen_executable(self) -> str:
        """Gigahorse has a program for each k on a GPU."""
        version = "_v3" if self.k == 32 and self.compression >= 30 else ""
        return getattr(self, self.executable_key) or f"cuda_plot_k{self.k}{version}"

    @property
    def version_arguments(self) -> tuple[str, ...]:
        return ("--help",) if self.mode is MadmaxMode.GPU else ("--version",)


class BladebitMode(StrEnum):
    """Bladebit's subcommands."""

    RAM = "ramplot"
    DISK = "diskplot"
    CUDA = "cudaplot"


class BladebitOptions(PlotterOptions):
    """Bladebit, in memory, on disk or on a GPU. k32 only."""

    executable: str = Field(
        "bladebit", description="Name on the PATH, or full path.", examples=["/opt/bladebit/bladebit"]
    )
    executable_cuda: str = Field(
        "bladebit_cuda",
        description="The program for mode cudaplot.",
        examples=["/opt/bladebit/bladebit_cuda"],
    )
    threads: int | None = Field(None, ge=1, description="Threads (-t); absent: all.", examples=[16])
    no_numa: bool = Field(False, description="No NUMA binding (--no-numa).")
    mode: BladebitMode = Field(
        BladebitMode.RAM, description="ramplot, diskplot or cudaplot.", examples=["diskplot"]
    )
    k: int = Field(32, ge=32, le=32, description="Size of the plots; bladebit makes k32 only.")
    compression: int = Field(
        0, ge=0, le=9, description="Level of compression (--compress); 0: none.", examples=[5]
    )
    diskplot_cache: str | None = Field(None, description="diskplot --cache.", examples=["32G"])
    diskplot_buckets: int | None = Field(None, ge=1, description="diskplot -b.", examples=[256])
    f1threads: int | None = Field(None, ge=1, description="diskplot --f1-threads.", examples=[8])
    fpthreads: int | None = Field(None, ge=1, description="diskplot --fp-threads.", examples=[8])
    cthreads: int | None = Field(None, ge=1, description="diskplot --c-threads.", examples=[8])
    p2threads: int | None = Field(None, ge=1, description="diskplot --p2-threads.", examples=[8])
    p3threads: int | None = Field(None, ge=1, description="diskplot --p3-threads.", examples=[8])
    device: int | None = Field(None, ge=0, description="cudaplot -d: which GPU; absent: 0.", examples=[0])
    disk_128: bool = Field(False, description="cudaplot --disk-128: 128 GiB of RAM.")
    disk_16: bool = Field(False, description="cudaplot --disk-16: 16 GiB of RAM.")
    no_direct_io: bool = Field(False, description="No direct IO to tmp.")
    check_plots: int | None = Field(
        None, ge=1, description="cudaplot --check: number of proofs to try with each plot.", examples=[100]
    )
    check_threshold: float | None = Field(
        None, ge=0, description="cudaplot --check-threshold: proofs per challenge.", examples=[0.6]
    )

    @model_validator(mode="before")
    @classmethod
    def _old_word_for_disk(cls, data: Any) -> Any:
        """Read the fork's earlier `diskplot: true` as `mode: diskplot`."""
        if not isinstance(data, dict) or not isinstance(data.get("diskplot"), bool):
            return data
        rest = {key: value for key, value in data.items() if key != "diskplot"}
        return {"mode": BladebitMode.DISK, **rest} if data["diskplot"] else rest

    @field_validator("mode", mode="before")
    @classmethod
    def _old_word_for_cuda(cls, mode: Any) -> Any:
        return BladebitMode.CUDA if mode == "gpuplot" else mode

    @field_validator("check_plots", mode="before")
    @classmethod
    def _no_checks(cls, proofs: Any) -> Any:
        """Read `check_plots: 0` or `false` of the fork's sample as none."""
        return proofs or None

    @property
    def executable_key(self) -> str:
        """bladebit has another program for GPUs."""
        return "executable_cuda" if self.mode is BladebitMode.CUDA else "executable"


class Xchplot2Options(PlotterOptions):
    """xchplot2: plots of the new proof of space (v2) on GPUs, several in one job."""

    executable: str = Field(
        "xchplot2", description="Name on the PATH, or full path.", examples=["/opt/xchplot2/bin/xchplot2"]
    )
    k: int = Field(28, ge=18, le=32, multiple_of=2, description="Size of the plots (-k); Chia's is 28.")
    plots_per_job: int = Field(
        10,
        ge=1,
        le=1000,
        description="Plots of one job (-n). Each is moved on as soon as it is complete; dst must have room "
        "for all of them.",
        examples=[32],
    )
    strength: int = Field(
        2, ge=2, le=63, description="Strength of the proofs (-s); the network takes 2 to 17."
    )
    meta_group: int = Field(0, ge=0, le=255, description="Meta group of the plots (-g).")
    devices: str | None = Field(
        None, description="GPUs and processors (--devices); absent: the first GPU.", examples=["0,1"]
    )
    cpu_workers: str | None = Field(
        None,
        description="Workers on each processor (--cpu-workers): auto, max or a number.",
        examples=["auto"],
    )
    tier: str | None = Field(
        None,
        description="How much memory of the GPU is used (--tier); absent: what fits.",
        examples=["compact"],
    )
    max_host_ram: str | None = Field(
        None,
        description="Limit of memory (--max-host-ram); the rest goes to tmp, on a real drive then.",
        examples=["8G"],
    )

    @property
    def version_arguments(self) -> tuple[str, ...]:
        """xchplot2 has no option that prints its version."""
        return ("--help",)
