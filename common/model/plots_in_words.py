"""Classes of plots in a farmer's words. Pure."""

from __future__ import annotations

from common.model.plot_class import PlotClass, PoolKind

_V1, _BLADEBIT, _GROUP = "v1.0", "bladebit 2", "PoS2 02"
_OF_PROGRAM = {
    _BLADEBIT: "bladebit",
    _GROUP: "plot group",
    "pos2 01": "PoS2, old",
    "pos2 02": "PoS2, raw",
    "PoS2 82": "plot group of xchplot2",
}
_DIGITS = 8  # of a key, as of a plot's id


def class_text(plots: PlotClass) -> str:
    """`k32 C7 bladebit`, `k28 plot group, strength 2`, `k32 uncompressed`; a format that is not known by its
    name."""
    words = [] if plots.k is None else [f"k{plots.k}"]
    if plots.strength is not None:
        words.append(f"{_OF_PROGRAM.get(plots.format, plots.format)}, strength {plots.strength}")
    elif plots.format == _V1:
        words.append("uncompressed")
    elif plots.format == _BLADEBIT and plots.compression == 0:
        words.append("uncompressed bladebit")
    else:
        level = [] if plots.compression is None else [f"C{plots.compression}"]
        words += [*level, _OF_PROGRAM.get(plots.format, _of_others(plots.format))]
    return " ".join(words) + (" (not farmable)" if plots.unfarmable else "")


def _of_others(name: str) -> str:
    return f"Gigahorse ({name})" if name.startswith("mmx") else name


def pool_text(plots: PlotClass) -> str:
    """`contract 05050505`, `pool key 9c8a4e12`; `?` where the header does not say."""
    if plots.pool is None:
        return "?"
    kind = "contract" if plots.pool is PoolKind.CONTRACT else "pool key"
    return f"{kind} {plots.pool_key[:_DIGITS]}" if plots.pool_key else kind
