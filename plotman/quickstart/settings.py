"""The quick start's plotman.yaml. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from plotman.quickstart.chia import Keys
from plotman.quickstart.layout import Layout

_AT_A_TIME = 2


@dataclass(frozen=True)
class Tuning:
    """Options of `chia plotters chiapos` that work at a size. memory_mib: of one plot."""

    stripes: int
    buckets: int
    memory_mib: int


def tuning(k: int) -> Tuning:
    """Small plots need small stripes and few buckets: chiapos (2.0.12) refuses a table that has less than
    30 stripes per bucket. From k25 on its own defaults work.
    """
    if k <= 20:
        return Tuning(stripes=2000, buckets=16, memory_mib=200)
    if k <= 24:
        return Tuning(stripes=65536, buckets=16, memory_mib=512)
    return Tuning(stripes=65536, buckets=128, memory_mib=3389)


def plotman_yaml(layout: Layout, chia: Path, keys: Keys, k: int, flower_port: int, others: int = 0) -> str:
    """The whole file. chia: program to call. others: plotters that run on this machine already, which count
    as well. Values are quoted where they are paths."""
    options = tuning(k)
    return f"""\
# Written by ./deploy/quickstart, anew with each run. A farm on one machine, in one folder.
# `plotman config generate` writes a sample with every option.
version: [2]

# This machine's place in the farm. No broker is named: `plotman up` brings its own, and decides.
farm:
  state: {_text(layout.state)}
  flower_port: {flower_port}

logging:
  plots: {_text(layout.logs)}

# tmp: scratch, where plots are made. dst: buffer, where they wait to be moved to a drive.
directories:
  tmp:
{_list(layout.tmp)}
  dst:
{_list(layout.dst)}

# At most two plots at a time, started three seconds apart or more; a tmp folder takes its next plot when
# the one before has reached phase 2.{_counted(others)}
scheduling:
  global_max_jobs: {_AT_A_TIME + others}
  global_stagger_m: 0.05
  tmpdir_max_jobs: 2
  tmpdir_stagger_phase_major: 2
  tmpdir_stagger_phase_minor: 1
  tmpdir_stagger_phase_limit: 1

# The official plotter, with throw-away keys: these plots win nothing.
plotting:
  type: chiapos
  farmer_pk: {keys.farmer}
  pool_pk: {keys.pool}
  chiapos:
    executable: {_text(chia)}
    k: {k}
    n_threads: 2
    n_buckets: {options.buckets}
    job_buffer: {options.memory_mib}
    stripes: {options.stripes}

# Finished plots go to this farm's harvester, which checks each before its source is deleted.
archiving:
  target: harvester

harvester:
  drives:
{_list(layout.drives)}
  plain_folders: true  # real drives are mounted; without this, a folder that is not is no drive
  placement: round_robin  # each drive in turn; without this, the first is filled before the next
"""


def _counted(others: int) -> str:
    if not others:
        return ""
    return (
        f"\n# All plotters of the machine count, and {others} ran already: beside them there is room for two."
    )


def _text(path: Path) -> str:
    """A path as a YAML scalar, whatever is in it."""
    quoted = str(path).replace("'", "''")
    return f"'{quoted}'"


def _list(paths: tuple[Path, ...]) -> str:
    return "\n".join(f"    - {_text(path)}" for path in paths)
