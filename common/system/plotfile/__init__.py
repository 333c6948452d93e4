"""Plot files: what their bytes say, without reading them all. The only place that knows formats.

A file is a plot by its header, whatever its name, and whole by what its format says of its length.
"""

from common.model.plot_class import PoolKind
from common.system.plotfile.header import Header, NotAPlot, Pool
from common.system.plotfile.registry import judge_length, read_header, whole
from common.system.plotfile.state import QUIET_S, UNSEEN_QUIET_S, classify, fits_name, printable, right_name
from common.system.plotfile.v1 import expected_size_bytes
from common.system.plotfile.wholeness import Verdict, Wholeness

__all__ = [
    "QUIET_S",
    "UNSEEN_QUIET_S",
    "Header",
    "NotAPlot",
    "Pool",
    "PoolKind",
    "Verdict",
    "Wholeness",
    "classify",
    "expected_size_bytes",
    "fits_name",
    "judge_length",
    "printable",
    "read_header",
    "right_name",
    "whole",
]
