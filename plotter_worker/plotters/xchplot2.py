"""xchplot2: plots of the new proof of space on GPUs (or the processor), several in one job.

Lines are from its source (branch `cuda-only`), its REFERENCE.md of September 2026 and its README of October
2026. Progress and errors go to stderr, where lines of its workers mix; a plot's path goes to stdout once it
has its final name. It has no phases. Ours, `1:N`, is: N plots of the job are complete, 99 at most.

    [batch:gpu0] progress: plot 3/10 done (30.0%, 2.41 s/plot avg, ...)    1:3
    /mnt/dst/plot-k28-ID.gplot                                             the plot is complete
    [batch] plot 4 FAILED (GPU): out of memory                             the others follow
    [batch] cancel received - stopping before plot 7                       by SIGTERM; 0 to 6 are finished
    [plot] wrote 9 plots in 21.7 s (2.41 s/plot); failed 1                 the end

Releases until September 2026 write `.plot2` (format "pos2 01"), later ones `.gplot` ("PoS2 02"): the name
says which. Old ones print all names at the end, also of plots that failed.

In dst it writes `NAME.partial` or `NAME.partial.XXXXXX`, which only `plotman cleanup` deletes, and a job file
`xchplot2-job-*.tsv` with the plots' secret keys, which plotman neither opens nor deletes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from common.config.sections.plotting import Plotting
from common.model.phase import Phase
from plotter_worker.plotters.base import CommandLine, Mode, SizeEstimate, normal, parent
from plotter_worker.plotters.log_parser import SHARED_RULES, LogReader, first_group, merged, rules
from plotter_worker.plotters.log_state import PlotLogState, Weight
from plotter_worker.plotters.options import Grammar, Options, key_arguments, parse, program
from plotter_worker.plotters.plotter import Plotter
from plotter_worker.plotters.size_estimates import pos2_plot_bytes, xchplot2_tmp_bytes

_DEFAULT_K = 28
# Where it writes its temporary files if neither the command line nor the environment names a folder.
_DEFAULT_TMP = "/tmp"
_LAST_MINOR = 99
_MOST_FAILURES = 1000  # more than plotman.yaml lets one job make
_GRAMMAR = Grammar(
    values={
        "-k": "k", "--k": "k",
        "-n": "n", "--num": "n",
        "-o": "dst", "--out": "dst",
        "--temp-dir": "tmp",
        "-s": "strength", "--strength": "strength",
        "-f": "farmer", "--farmer-pk": "farmer",
        "-p": "pool", "--pool-pk": "pool", "--pool-ph": "pool",
        "-c": "contract", "--pool-contract-address": "contract",
        "-i": "index", "--plot-index": "index",
        "-g": "meta", "--meta-group": "meta",
        "-S": "seed", "--seed": "seed",
        "--devices": "devices", "--cpu-workers": "cpu", "--tier": "tier", "--max-host-ram": "ram",
        "--manifest": "manifest", "--config": "config",
    },
    flags={"-h": "help", "--help": "help"},
    clusters=False,
)  # fmt: skip


def _reach(state: PlotLogState) -> None:
    made = max(state.counted, len(state.done))
    state.reach(Phase(1, min(made, _LAST_MINOR)))


def _asked(state: PlotLogState) -> int:
    """Number of plots of the job; 0: unknown. For `batch FILE` only the log has it."""
    return max(state.asked or 0, 0)


def _progress(state: PlotLogState, match: re.Match[str]) -> None:
    state.counted = max(state.counted, int(match[1]))
    if not _asked(state):
        state.asked = int(match[2])
    _reach(state)


def _published(state: PlotLogState, match: re.Match[str]) -> None:
    """A name on stdout. A name that is no path is of a release that lists them at the end."""
    path = state.path(match[0]) if match[0].startswith("/") else None
    if state.names_are_unsure or match[2] in state.done_ids:
        return
    state.more_may_follow = True
    state.begin_plot()
    state.set_name(match[1])
    state.plot.dst = parent(path) if path else None
    state.complete(state.plot, path)
    _reach(state)


def _plot_fails(state: PlotLogState, match: re.Match[str]) -> None:
    state.fail(f"plot {match[1]}: {match[2]}")
    if len(state.failures) < _MOST_FAILURES:
        state.failures[int(match[1])] = " ".join(match[2].split())


def _cancelled(state: PlotLogState, match: re.Match[str]) -> None:
    """Plots are numbered from 0; all before this one were begun, and are finished."""
    state.fail("it was cancelled", Weight.CONSEQUENCE)
    before = int(match[1])
    state.asked = max(min(_asked(state) or before, before), 1)


def _summed_up(state: PlotLogState, match: re.Match[str]) -> None:
    failed = int(match[2] or 0)
    if not _asked(state):
        state.asked = int(match[1]) + failed
    if failed and not state.done:
        # The names follow, and do not say which plots failed.
        state.names_are_unsure = True


_PLOT = b"<plot>"  # key of a line with nothing but a plot's path or name


class _Reader(LogReader):
    def key(self, text: bytes) -> bytes:
        if text.startswith((b"/", b"plot-k")):
            return _PLOT
        # Of several workers each writes its name: [batch:gpu0], [batch:cpu].
        return b"[batch]" if text.startswith(b"[batch:") else super().key(text)


_RULES = merged(
    rules(
        (b"[batch]", r"\[batch[^]]*\] progress: plot (\d{1,6})/(\d{1,6}) done ", _progress),
        (
            b"[batch]",
            r"\[batch[^]]*\] plot (\d{1,6}) FAILED(?: \([^)]*\))?: (.+?)(?: (?:—|-) continuing)?$",
            _plot_fails,
        ),
        (b"[batch]", r"\[batch[^]]*\] cancel received.* before plot (\d{1,6})", _cancelled),
        (b"[plot]", r"\[plot\] FAILED: (.+)", first_group),
        (b"[plot]", r"\[plot\] wrote (\d{1,6}) plots? in .*?(?:; failed (\d{1,6}))?$", _summed_up),
        (_PLOT, r"(?:/.*/)?(plot-k\d{1,2}-([0-9a-f]{64})\.(?:plot2|gplot))$", _published),
    ),
    SHARED_RULES,
)


class Xchplot2(Plotter):
    """`xchplot2 plot`, and `xchplot2 batch` if a user starts it."""

    name = "xchplot2"
    batch = True
    secret_options = ("-S", "--seed")  # from which it makes the keys of all plots
    marks = (b"[batch", b"[plot] ")
    rules = _RULES

    def argv(self, plotting: Plotting, tmp: str, tmp2: str | None, dst: str) -> list[str]:  # noqa: ARG002
        chosen = plotting.xchplot2
        optional = {
            "-g": chosen.meta_group or None,
            "--devices": chosen.devices,
            "--cpu-workers": chosen.cpu_workers,
            "--tier": chosen.tier,
            "--max-host-ram": chosen.max_host_ram,
        }
        return [
            *(chosen.executable, "plot"),
            # Otherwise the user's own settings in ~/.config/xchplot2 would change the job.
            *("--config", os.devnull),
            *("-k", str(chosen.k)),
            *("-n", str(chosen.plots_per_job)),
            *("-s", str(chosen.strength)),
            *(
                word
                for option, value in optional.items()
                if value is not None
                for word in (option, str(value))
            ),
            *("--temp-dir", tmp),
            *("-o", dst),
            *("--progress", "--continue-on-error"),
            *key_arguments(plotting.farmer_pk, plotting.pool_pk, plotting.pool_contract_address),
        ]

    def recognise(self, argv: Sequence[str], cwd: str | None) -> CommandLine | None:
        name, arguments = program(argv)
        if name != "xchplot2" or not arguments or arguments[0] not in ("plot", "batch"):
            return None
        found = parse(arguments[1:], _GRAMMAR)
        if "help" in found.flags:
            return None
        return self._command(found, cwd, of_file=arguments[0] == "batch")

    def reader(self, command: CommandLine | None = None) -> LogReader:
        return _Reader(self.rules, command)

    def space(self, k: int, compression: int | None, mode: Mode, separate_tmp2: bool) -> SizeEstimate:  # noqa: ARG002
        return SizeEstimate(xchplot2_tmp_bytes(k), 0, pos2_plot_bytes(k))

    def uses_gpu(self, mode: Mode) -> bool:  # noqa: ARG002
        """Always: it has no modes, and uses a GPU unless `devices` excludes all."""
        return True

    def plots_per_job(self, plotting: Plotting) -> int:
        return plotting.xchplot2.plots_per_job

    def _command(self, found: Options, cwd: str | None, of_file: bool) -> CommandLine:
        """of_file: `batch FILE`. Plots and folder are in that file, which holds keys and is never opened."""
        tmp = normal(found.text("tmp") or _DEFAULT_TMP, cwd)
        k, n = found.number("k"), found.number("n")
        return CommandLine(
            plotter=self.name,
            k=k if found.text("k") or of_file else _DEFAULT_K,
            n=0 if of_file else 1 if n is None else n,
            tmp=tmp,
            tmp2=tmp,
            dst=None if of_file else normal(found.text("dst") or ".", cwd),
            cwd=cwd,
        )
