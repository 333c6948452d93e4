"""A plotman.yaml of the guydavis fork: what has an equivalent is taken, the rest is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.config import Level, find_problems, load
from common.config.sections.plotter_options import BladebitMode

HEAD = """\
version: [2]
scheduling:
  {global_max_jobs: 1, global_stagger_m: 0, polling_time_s: 20, tmpdir_max_jobs: 1,
   tmpdir_stagger_phase_major: 2, tmpdir_stagger_phase_minor: 1}
directories: {tmp: [/t], tmp3: /t3}
archiving: {target: local_rsync, env: {site_root: /s, site_path_filter: farm}}
"""


def plotting(options: str, kind: str) -> str:
    return f"{HEAD}plotting:\n  {{type: {kind}, farmer_pk: f, pool_pk: p, {kind}: {{{options}}}}}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "plotman.yaml"


def test_bladebits_options_are_taken(file: Path) -> None:
    options = (
        "mode: diskplot, n: 1, k: 32, compression: 0, diskplot_cache: 32G, diskplot_buckets: 256,"
        " f1threads: 1, fpthreads: 2, cthreads: 3, p2threads: 4, p3threads: 5,"
        " no_direct_io: true, check_plots: 0"
    )
    file.write_text(plotting(options, "bladebit"))
    config = load(file)
    assert config.plotting
    bladebit = config.plotting.bladebit
    assert (bladebit.mode, bladebit.diskplot_cache, bladebit.diskplot_buckets) == (
        BladebitMode.DISK,
        "32G",
        256,
    )
    assert (bladebit.f1threads, bladebit.p3threads, bladebit.check_plots) == (1, 5, None)


@pytest.mark.parametrize(
    ("options", "mode", "executable"),
    [
        ("", BladebitMode.RAM, "bladebit"),
        ("diskplot: true", BladebitMode.DISK, "bladebit"),
        ("diskplot: false", BladebitMode.RAM, "bladebit"),
        ("mode: gpuplot, disk_128: true, check_plots: 100", BladebitMode.CUDA, "bladebit_cuda"),
        ("mode: cudaplot", BladebitMode.CUDA, "bladebit_cuda"),
    ],
)
def test_bladebits_modes_are_known_by_their_older_names(
    file: Path, options: str, mode: BladebitMode, executable: str
) -> None:
    file.write_text(plotting(options, "bladebit"))
    config = load(file)
    assert config.plotting
    assert config.plotting.bladebit.mode is mode
    assert config.plotting.bladebit.chosen_executable == executable


@pytest.mark.parametrize(("k", "executable"), [(32, "chia_plot"), (34, "/opt/k34")])
def test_madmaxs_options_are_taken(file: Path, k: int, executable: str) -> None:
    options = f"k: {k}, executable_k34: /opt/k34, network_port: 8444, compression: 7, tmptoggle: true, n: 1"
    file.write_text(plotting(options, "madmax"))
    config = load(file)
    assert config.plotting
    madmax = config.plotting.madmax
    assert (madmax.chosen_executable, madmax.network_port, madmax.compression) == (executable, 8444, 7)


def test_what_has_no_equivalent_is_a_warning_that_says_what_became_of_it(file: Path) -> None:
    file.write_text(plotting("n: 5, waitforcopy: true, gpu_devices: 4, mode: diskplot", "madmax"))
    problems = find_problems(file)
    assert [(problem.level, problem.key) for problem in problems] == [
        (Level.WARNING, "directories.tmp3"),
        (Level.WARNING, "plotting.madmax.n"),
        (Level.WARNING, "plotting.madmax.waitforcopy"),
        (Level.WARNING, "plotting.madmax.gpu_devices"),
    ]
    assert str(problems[1]) == (
        f"{file}:8: warning: plotting.madmax.n: has no effect: plotman starts each plot as a "
        "process of its own. Remove it."
    )
    assert load(file).plotting


@pytest.mark.parametrize("key", ["mode: gpuplot", "gpu_plot: true"])
@pytest.mark.parametrize(
    ("k", "level", "executable"),
    [(32, 7, "cuda_plot_k32"), (32, 33, "cuda_plot_k32_v3"), (30, 33, "cuda_plot_k30")],
)
def test_plots_for_a_gpu_are_made_by_gigahorses_program_for_their_size(
    file: Path, key: str, k: int, level: int, executable: str
) -> None:
    options = f"{key}, k: {k}, compression: {level}, gpu_device: 1, gpu_ndevices: 2, gpu_streams: 3"
    file.write_text(plotting(f"{options}, gpu_shared_memory: 64, gpu_directio: true", "madmax"))
    assert [problem.key for problem in find_problems(file)] == ["directories.tmp3"]
    config = load(file)
    assert config.plotting
    assert config.plotting.madmax.chosen_executable == executable


@pytest.mark.parametrize("key", ["mode: diskplot", "mode: cpu", "gpu_plot: false"])
def test_plots_for_the_processor_are_made_by_it(file: Path, key: str) -> None:
    file.write_text(plotting(key, "madmax"))
    config = load(file)
    assert config.plotting
    assert config.plotting.madmax.chosen_executable == "chia_plot"


def test_who_asks_bladebit_for_checks_by_an_older_key_is_told_the_keys_for_it(file: Path) -> None:
    file.write_text(plotting("check_plot: true", "bladebit"))
    assert [str(problem) for problem in find_problems(file)][1:] == [
        f"{file}:8: warning: plotting.bladebit.check_plot: has no effect. Write check_plots, the number of "
        "proofs that bladebit tries on each plot in mode cudaplot; harvester.proofs checks each plot "
        "when it arrives, whatever made it."
    ]
    file.write_text(plotting("check_plot: false", "bladebit"))
    assert len(find_problems(file)) == 1
