"""The folders of the quick start's farm, and its plotman.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from plotman.quickstart.chia import Keys

_AT_A_TIME = 2
OLD = "old"  # name of the class of plots that are replaced


class Layout:
    """A farm below one folder, `root`, an absolute path. Its drives are plain folders.

    logs: of the plotters and of `plotman up`. chia: CHIA_ROOT and CHIA_KEYS_ROOT lie below it; nothing is
    written to the home folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tmp = tuple(root / "tmp" / number for number in "12")
        self.dst = tuple(root / "dst" / number for number in "12")
        self.drives = tuple(root / "drives" / number for number in "1234")
        self.state = root / "state"
        self.logs = root / "logs"
        self.chia = root / "chia"
        self.config = root / "plotman.yaml"

    def create(self) -> None:
        """Make the folders that are missing. Raises OSError."""
        for folder in (*self.tmp, *self.dst, *self.drives, self.state, self.logs, self.chia):
            folder.mkdir(parents=True, exist_ok=True)


@dataclass(frozen=True)
class Tuning:
    """Options of `chia plotters chiapos`. memory_mib: for one plot."""

    stripes: int
    buckets: int
    memory_mib: int


def tuning(k: int) -> Tuning:
    """Options that work for this size. chiapos (2.0.12) refuses a table with less than 30 stripes per bucket.
    From k25 on its defaults work.
    """
    if k <= 20:
        return Tuning(stripes=2000, buckets=16, memory_mib=200)
    if k <= 24:
        return Tuning(stripes=65536, buckets=16, memory_mib=512)
    return Tuning(stripes=65536, buckets=128, memory_mib=3389)


def plotman_yaml(
    layout: Layout,
    chia: Path,
    keys: Keys,
    k: int,
    flower_port: int,
    others: int = 0,
    replot: bool = False,
) -> str:
    """The text of the file.

    chia: program that plots. others: other plotters of this machine; the limit on plots counts them, too.
    replot: whether plots of this size may be replaced.
    """
    options = tuning(k)
    counted = (
        f"\n# The limit counts all plotters of the machine; {others} of others ran already." if others else ""
    )
    return f"""\
# Written by the quick start at each run. A farm on one machine, in one folder.
# `plotman config generate --full` writes a sample with every option.
version: [2]

# No broker is named: `plotman up` runs one of its own, and the scheduler, too.
farm:
  state: {_text(layout.state)}
  flower_port: {flower_port}

logging:
  plots: {_text(layout.logs)}

# tmp: plots are made here. dst: finished plots wait here until they are moved to a drive.
directories:
  tmp:
{_list(layout.tmp)}
  dst:
{_list(layout.dst)}

# At most two plots at a time, started at least three seconds apart. A tmp folder takes its next plot when
# the one before has reached phase 2:1.{counted}
scheduling:
  global_max_jobs: {_AT_A_TIME + others}
  global_stagger_m: 0.05
  tmpdir_max_jobs: 2
  tmpdir_stagger_phase_major: 2
  tmpdir_stagger_phase_minor: 1
  tmpdir_stagger_phase_limit: 1

# The official plotter, with random keys: these plots win nothing.
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

# Finished plots go to this machine's harvester. It checks each one before its source is deleted.
archiving:
  target: harvester

harvester:
  drives:
{_list(layout.drives)}
  plain_folders: true  # without this, a folder counts as a drive only if a drive is mounted there
  placement: round_robin  # use the drives in turn; without this, fill one after the other
{_REPLOT.format(old=OLD, k=k) if replot else ""}"""


_REPLOT = """\
  replot: true  # old plots on this machine may be replaced by new ones

# Which ones: those that the quick start has made. Nothing goes without an order: the quick start sends
# it to the harvester, as `plotman replot start` does.
replot:
  classes:
    {old}:
      k: {k}
      compression: 0
  start: now
"""


def _text(path: Path) -> str:
    """A path as a quoted YAML scalar."""
    quoted = str(path).replace("'", "''")
    return f"'{quoted}'"


def _list(paths: tuple[Path, ...]) -> str:
    return "\n".join(f"    - {_text(path)}" for path in paths)
