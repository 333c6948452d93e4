"""An example of the section `replot`, made of the plots that the farm has. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest

import yaml

from beat.policy.replot.planner import Amount, PlotGroup
from beat.policy.replot.worth import weight_per_byte
from common.model.plot_class import PlotClass
from common.model.plots_in_words import class_text, pool_text
from common.model.replot import why_never
from common.model.text import one_line
from common.model.units import counted, human_bytes

_MOST = 32  # classes
# chiapos' and bladebit's uncompressed plots are one class, as no key tells them apart.
_Kind = tuple[int | None, int | None, str | None]


def example(found: Iterable[PlotGroup]) -> str:
    """The section `replot` for plotman.yaml, with a class for each kind of plots that could be replaced.

    All classes are commented out: as it stands, no plot may be replaced.

    found: the plots of the farm.
    """
    sums: dict[_Kind, tuple[PlotClass, Amount]] = {}
    by_host: dict[str, dict[_Kind, int]] = {}
    for group in found:
        of = group.plot_class
        if why_never(of) is None and group.plots > 0 and group.bytes > 0:
            kind = (of.k, of.compression, of.pool_key)
            sums.setdefault(kind, (of, Amount()))[1].add(group)
            of_host = by_host.setdefault(group.drive.host, {})
            of_host[kind] = of_host.get(kind, 0) + group.bytes
    lines = ["replot:", "  classes:"]
    if not sums:
        lines.append("    # The harvesters have no plots that could be replaced.")
    chosen = [sums[kind] for kind in _chosen(by_host.values())]
    for number, (of, amount) in enumerate(sorted(chosen, key=lambda pair: _worth(*pair)), 1):
        lines += _example_class(number, of, amount)
    lines += [
        "  #fork_height: 11000000  # once it is announced; chia 2.7.5 has set none",
        "  #low_water_bytes: 110000000000",
    ]
    return "\n".join(lines) + "\n"


def _chosen(hosts: Iterable[dict[_Kind, int]]) -> list[_Kind]:
    """The kinds that are shown: of each host the largest, then of each the next. A host that claims kinds and
    bytes without end pushes out no other's."""
    ordered = [sorted(kinds, key=lambda kind: -kinds[kind]) for kinds in hosts]
    turns = (kind for turn in zip_longest(*ordered) for kind in turn if kind is not None)
    return list(dict.fromkeys(turns))[:_MOST]


def _worth(of: PlotClass, amount: Amount) -> float:
    return weight_per_byte(of.k or 0, amount.plots, amount.bytes)


def _example_class(number: int, of: PlotClass, amount: Amount) -> Iterator[str]:
    text = one_line(f"{class_text(of)}, {pool_text(of)}")
    plots = f"{counted(amount.plots, 'plot')} ({human_bytes(amount.bytes)})"
    yield f"    # {plots}: {text}; worth {_worth(of, amount):.2f} per byte"
    keys = {"k": of.k, "compression": of.compression, "pool_key": of.pool_key}
    name = f"{number}-k{of.k}-c{of.compression}"
    for line in yaml.safe_dump({name: keys}, sort_keys=False, width=1000).splitlines():
        yield f"    #{line}"
