"""A package that brings a plotter of its own, laid out as pip installs it: modules and a dist-info."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Install = Callable[..., None]  # `lay_out` into a folder of one test

# A plotter of a few lines, as CONTRIBUTING.md shows one. Its program is `tinyplot`.
TINY = '''
import re
from plotter_worker.plotters import api


class TinyOptions(api.PlotterOptions):
    """Section plotting.tinyplot."""

    executable: str = "tinyplot"
    k: int = 18
    stripes: int = 2000


def _begin(state, match):
    state.begin_plot()
    state.reach(api.Phase(1, 1), 1.0)


def _done(state, match):
    state.set_name(match[1])
    state.complete(state.plot, state.path(match[1]))


class Tiny(api.Plotter):
    name = "tinyplot"
    options = TinyOptions
    marks = (b"tinyplot says hello",)
    rules = api.merged(
        api.rules(
            (b"tinyplot", r"tinyplot says hello", _begin),
            (b"step", r"step (\\d) of 4", lambda state, match: state.reach(api.Phase(int(match[1]), 1))),
            (b"finished", r"finished (.+\\.plot)$", _done),
        ),
        api.SHARED_RULES,
    )

    def argv(self, plotting, tmp, tmp2, dst):
        chosen = plotting.options
        keys = api.key_arguments(plotting.farmer_pk, plotting.pool_pk, plotting.pool_contract_address)
        words = ["-k", str(chosen.k), "-s", str(chosen.stripes), "-t", tmp, "-d", dst, *keys]
        return [chosen.executable, *words]

    def recognise(self, argv, cwd):
        name, arguments = api.program(argv)
        if name != "tinyplot":
            return None
        values = {"-k": "k", "-t": "tmp", "-d": "dst", "-s": "s", "-f": "f", "-p": "p", "-c": "c"}
        found = api.parse(arguments, api.Grammar(values))
        tmp, dst = (api.normal(found.text(name), cwd) for name in ("tmp", "dst"))
        return api.CommandLine(plotter=self.name, k=found.number("k"), tmp=tmp, tmp2=tmp, dst=dst, cwd=cwd)

    def space(self, k, compression, mode, separate_tmp2):
        return api.SizeEstimate(tmp_bytes=10_000_000, tmp2_bytes=0, dst_bytes=5_000_000)


plotter = Tiny()
'''

# The program: the real chiapos, by `chia plotters chiapos`, whose log it puts into words of its own.
TINYPLOT = """#!{python}
import subprocess, sys
if sys.argv[1:] == ["--version"]:
    sys.exit(print("tinyplot 1.0"))
print("tinyplot says hello", flush=True)
argv = ["{chia}", "plotters", "chiapos", "-n", "1", "-r", "2", "-b", "200", "-u", "16", "-x", *sys.argv[1:]]
child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
for line in child.stdout:
    if line.startswith("Starting phase"):
        print("step", line.split()[2][0], "of 4", flush=True)
    elif line.startswith("Renamed final file"):
        print("finished", line.split('"')[3], flush=True)
sys.exit(child.wait())
"""


def lay_out(site: Path, name: str, module: str, version: str = "1.0", point: str = "") -> None:
    """Put a package into a folder that is on Python's path.

    Args:
        site: the folder.
        name: of its plotter; the package is called NAME-for-plotman, its module NAME_for_plotman.
        module: the module's text.
        version: of the package.
        point: value of the entry point; by default the module's `plotter`.
    """
    site.mkdir(exist_ok=True)
    (site / f"{name}_for_plotman.py").write_text(module)
    info = site / f"{name}_for_plotman-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-for-plotman\nVersion: {version}\n")
    point = point or f"{name}_for_plotman:plotter"
    (info / "entry_points.txt").write_text(f"[plotman.plotters]\n{name} = {point}\n")
    (info / "RECORD").write_text("")
