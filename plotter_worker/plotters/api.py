"""All that a plotter in a package of its own is written with. These names stay from release to release.

Such a package depends on plotman and has an entry point in the group `plotman.plotters`. It names an object
of a class derived from `Plotter`; CONTRIBUTING.md has an example.
"""

from common.config.sections.plotter_packages import PlotterOptions
from common.config.sections.plotting import Plotting
from common.model.phase import Phase
from plotter_worker.plotters.base import CommandLine, Mode, SizeEstimate, normal, parent
from plotter_worker.plotters.log_parser import (
    SHARED_RULES,
    Handler,
    Milestones,
    Rules,
    first_group,
    keep,
    keep_path,
    merged,
    rules,
    waits,
    whole_line,
)
from plotter_worker.plotters.log_state import Plot, PlotLogState
from plotter_worker.plotters.options import Grammar, Options, key_arguments, parse, program
from plotter_worker.plotters.plotter import Plotter

__all__ = [
    "SHARED_RULES",
    "CommandLine",
    "Grammar",
    "Handler",
    "Milestones",
    "Mode",
    "Options",
    "Phase",
    "Plot",
    "PlotLogState",
    "Plotter",
    "PlotterOptions",
    "Plotting",
    "Rules",
    "SizeEstimate",
    "first_group",
    "keep",
    "keep_path",
    "key_arguments",
    "merged",
    "normal",
    "parent",
    "parse",
    "program",
    "rules",
    "waits",
    "whole_line",
]
