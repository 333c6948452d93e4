"""`plotting`: which plotter makes the plots, for whom, and with which options.

Keys are those of plotman 0.5.3 and, where the plotter has an option for them, of the guydavis fork.
Options are spelled as each plotter's `--help` has them (facts: chia 2.7.5, chia_plot 1.1.8,
bladebit 3.1.1).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field, field_validator, model_validator

from common.config.base import Section


class PlotterType(StrEnum):
    """The plotters we know how to run."""

    CHIA = "chia"
    CHIAPOS = "chiapos"
    MADMAX = "madmax"
    BLADEBIT = "bladebit"


class ChiaOptions(Section):
    """`chia plots create`: the official plotter, from k25 on."""

    executable: str = Field(
        "chia", description="Name on the PATH, or full path.", examples=["/opt/chia/bin/chia"]
    )
    n_threads: int = Field(2, ge=1, description="Threads of a plot (-r).", examples=[4])
    n_buckets: int = Field(128, ge=16, description="Buckets, 16 to 128 (-u).", examples=[128])
    k: int = Field(32, ge=18, le=50, description="Size of the plots (-k).", examples=[32])
    e: bool = Field(False, description="Plot without bitfield (-e).", examples=[False])
    job_buffer: int = Field(3389, ge=1, description="Memory of a plot in MiB (-b).", examples=[4608])
    x: bool = Field(
        False, description="Leave the final directory out of chia's own list (-x).", examples=[True]
    )


class ChiaposOptions(Section):
    """`chia plotters chiapos`: the same plotter, for any k from 18 on (try a farm out with small plots)."""

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
    e: bool = Field(False, description="Plot without bitfield (-e).", examples=[False])


class MadmaxOptions(Section):
    """madMAx's `chia_plot`, and the CPU plotter of Gigahorse, which has the same name."""

    executable: str = Field(
        "chia_plot", description="Name on the PATH, or full path.", examples=["/opt/madmax/chia_plot"]
    )
    executable_k34: str = Field(
        "chia_plot_k34", description="The one for k above 32.", examples=["/opt/madmax/chia_plot_k34"]
    )
    k: int = Field(32, ge=16, le=34, description="Size of the plots (-k).", examples=[32])
    n_threads: int = Field(4, ge=1, description="Threads of a plot (-r).", examples=[16])
    # chia_plot takes less than 16 for a power of two, and 0 of n_buckets3 for n_buckets.
    n_buckets: int = Field(
        256, ge=4, description="Buckets in phases 1 and 2 (-u); 8 means 256.", examples=[256]
    )
    n_buckets3: int = Field(
        256, ge=0, description="Buckets in phases 3 and 4 (-v); 8 means 256, 0 n_buckets.", examples=[256]
    )
    n_rmulti2: int = Field(1, ge=1, description="Multiplier of threads in phase 2 (-K).", examples=[1])
    tmptoggle: bool = Field(False, description="Alternate tmp and tmp2 (-G).", examples=[False])
    network_port: int | None = Field(
        None, ge=1, le=65535, description="Network of the plots (-x); absent: Chia's.", examples=[8444]
    )
    compression: int = Field(
        0, ge=0, le=33, description="Level of compression (-C), Gigahorse only; 0: none.", examples=[7]
    )

    @property
    def chosen_executable(self) -> str:
        """The program for this k: madMAx builds one up to k32 and another beyond."""
        return self.executable_k34 if self.k > 32 else self.executable


class BladebitMode(StrEnum):
    """Bladebit's subcommands."""

    RAM = "ramplot"
    DISK = "diskplot"
    CUDA = "cudaplot"


class BladebitOptions(Section):
    """Bladebit, in memory, on disk or on a GPU. k32 only."""

    executable: str = Field(
        "bladebit", description="Name on the PATH, or full path.", examples=["/opt/bladebit/bladebit"]
    )
    executable_cuda: str = Field(
        "bladebit_cuda", description="The one for mode cudaplot.", examples=["/opt/bladebit/bladebit_cuda"]
    )
    threads: int | None = Field(None, ge=1, description="Threads (-t); absent: all.", examples=[16])
    no_numa: bool = Field(False, description="No NUMA binding (--no-numa).", examples=[False])
    mode: BladebitMode = Field(
        BladebitMode.RAM, description="ramplot, diskplot or cudaplot.", examples=["diskplot"]
    )
    k: int = Field(32, ge=32, le=32, description="Size of the plots; bladebit makes k32 only.", examples=[32])
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
    disk_128: bool = Field(False, description="cudaplot --disk-128: 128 GiB of RAM.", examples=[False])
    disk_16: bool = Field(False, description="cudaplot --disk-16: 16 GiB of RAM.", examples=[False])
    no_direct_io: bool = Field(False, description="No direct IO to tmp.", examples=[False])
    check_plots: int | None = Field(
        None, ge=1, description="cudaplot --check: proofs to try on each plot.", examples=[100]
    )
    check_threshold: float | None = Field(
        None, ge=0, description="cudaplot --check-threshold: proofs a challenge.", examples=[0.6]
    )

    @model_validator(mode="before")
    @classmethod
    def _old_word_for_disk(cls, data: Any) -> Any:
        """The fork first had `diskplot: true`, then `mode: diskplot`."""
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
        """The fork's sample has `check_plots: 0` or `false` for none."""
        return proofs or None

    @property
    def chosen_executable(self) -> str:
        """The program for this mode: the one for GPUs is built and named apart."""
        return self.executable_cuda if self.mode is BladebitMode.CUDA else self.executable


PlotterOptions = ChiaOptions | ChiaposOptions | MadmaxOptions | BladebitOptions


class Plotting(Section):
    """Which plotter makes the plots, for whom, and with which options. Only the options of `type` count."""

    type: PlotterType = Field(
        PlotterType.CHIA, description="chia, chiapos, madmax or bladebit.", examples=["chia"]
    )
    farmer_pk: str | None = Field(
        None,
        description="Your farmer public key (`chia keys show`). madmax and bladebit need it.",
        examples=["8bb28d9d...96 hexadecimal digits"],
    )
    pool_contract_address: str | None = Field(
        None,
        description="Your plot NFT's contract address (`chia plotnft show`), for plots that can join a pool.",
        examples=["xch1..."],
    )
    pool_pk: str | None = Field(
        None,
        description="Your pool public key, for plots that never join a pool. Either this or the contract.",
        examples=["94a0ba2f...96 hexadecimal digits"],
    )
    chia: ChiaOptions = Field(ChiaOptions(), description="`chia plots create`: the official plotter.")
    chiapos: ChiaposOptions = Field(
        ChiaposOptions(), description="`chia plotters chiapos`: the same for any k, to try a farm out."
    )
    madmax: MadmaxOptions = Field(MadmaxOptions(), description="madMAx's chia_plot.")
    bladebit: BladebitOptions = Field(BladebitOptions(), description="Bladebit: in RAM, on disk, on a GPU.")

    @property
    def options(self) -> PlotterOptions:
        """The options of the chosen plotter."""
        of_type: dict[PlotterType, PlotterOptions] = {
            PlotterType.CHIA: self.chia,
            PlotterType.CHIAPOS: self.chiapos,
            PlotterType.MADMAX: self.madmax,
            PlotterType.BLADEBIT: self.bladebit,
        }
        return of_type[self.type]
