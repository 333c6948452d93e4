"""Memory that a plotter needs, against what the machine and its GPUs have. nvidia-smi is a stand-in that
prints the lines of the real one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from common.config.check.memory import GIB, gpus, memory_lacks, need_of
from common.config.model import Config
from common.config.problems import Level
from tests.support.sections import PLOTTER

KEYS = {"farmer_pk": "f", "pool_pk": "p"}
# An RTX 4090, an RTX 3050 and a GPU that shares the machine's memory.
TWO = """0, GPU-5f1c2d3e-0a1b-4c2d-8e3f-001122334455, 24564
1, GPU-77aa2d3e-0a1b-4c2d-8e3f-001122334455, 4096
2, GPU-99aa2d3e-0a1b-4c2d-8e3f-001122334455, [N/A]
"""
ODD = f"0, GPU-1, \N{SUPERSCRIPT TWO}\n1, GPU-2, {'9' * 5000}\n"
ARGUMENTS = "--query-gpu=index,uuid,memory.total --format=csv,noheader,nounits"
GIGAHORSE = {"type": "madmax", **KEYS, "madmax": {"mode": "gpuplot"}}
MANY = {"scheduling": {**PLOTTER["scheduling"], "global_max_jobs": 9}}
XCHPLOT2 = {"type": "xchplot2", **KEYS}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Gives the machine this much memory, and an nvidia-smi; None: there is none."""

    def have(host_gib: float, smi: str | None = TWO, exit_code: int = 0) -> None:
        monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(total=int(host_gib * GIB)))
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        if smi is not None:
            program = tmp_path / "nvidia-smi"
            program.write_text(
                f'#!/bin/sh\ntest "$*" = "{ARGUMENTS}" || exit 6\ncat <<END\n{smi}END\nexit {exit_code}\n'
            )
            program.chmod(0o755)

    return have


def config(plotting: dict[str, Any], sections: dict[str, Any] | None = None, **directories: Any) -> Config:
    folders = {"tmp": ["/t"], "dst": ["/d"]} | directories
    given = {**PLOTTER, "directories": folders, "plotting": plotting, **MANY, **(sections or {})}
    return Config.model_validate(given)


def lacks(plotting: dict[str, Any], sections: dict[str, Any] | None = None, **directories: Any) -> list[str]:
    found = list(memory_lacks(config(plotting, sections, **directories)))
    assert all(one.level is Level.WARNING and one.cure for one in found)
    return [f"{'.'.join(map(str, one.location))}: {one.what}" for one in found]


@pytest.mark.parametrize(
    ("plotting", "tmp2", "host_gib", "vram_gb"),
    [
        ({"type": "chia"}, None, 0, 0),
        ({"type": "madmax", **KEYS}, "/t2", 0, 0),
        (GIGAHORSE, None, 256, 8),
        (GIGAHORSE, "/t2", 128, 8),
        ({**GIGAHORSE, "madmax": {"mode": "gpuplot", "k": 33}}, None, 512, 8),
        ({**GIGAHORSE, "madmax": {"mode": "gpuplot", "k": 30, "gpu_streams": 3}}, None, 64, 4),
        ({**GIGAHORSE, "madmax": {"mode": "gpuplot", "gpu_tmp3": "/t3"}}, "/t2", 0, 8),
        ({"type": "bladebit", **KEYS}, None, 416, 0),
        ({"type": "bladebit", **KEYS, "bladebit": {"mode": "diskplot"}}, None, 0, 0),
        ({"type": "bladebit", **KEYS, "bladebit": {"mode": "cudaplot"}}, None, 256, 8),
        ({"type": "bladebit", **KEYS, "bladebit": {"mode": "cudaplot", "disk_128": True}}, None, 128, 8),
        ({"type": "bladebit", **KEYS, "bladebit": {"mode": "cudaplot", "disk_16": True}}, None, 16, 8),
        (XCHPLOT2, None, 7, 1.384),
        ({**XCHPLOT2, "xchplot2": {"tier": "compact", "max_host_ram": "8G"}}, None, 0, 5.721),
        ({**XCHPLOT2, "xchplot2": {"k": 26, "devices": "cpu0,cpu1"}}, None, 1.75, 0),
    ],
)  # fmt: skip
def test_what_a_job_needs(
    plotting: dict[str, Any], tmp2: str | None, host_gib: float, vram_gb: float
) -> None:
    made = config(plotting, **({"tmp2": tmp2} if tmp2 else {}))
    assert made.plotting is not None
    need = need_of(made.plotting, tmp2 is not None)
    assert (need.host_bytes / GIB, round(need.vram_bytes / 1e9, 3)) == (host_gib, vram_gb)


def test_a_machine_with_enough_is_not_mentioned(machine: Callable[..., None]) -> None:
    machine(251.5)  # as a machine with 256 GiB shows
    assert lacks(GIGAHORSE) == []
    assert lacks({**GIGAHORSE, "gpus": ["0"]}) == []
    assert lacks({**GIGAHORSE, "gpus": ["GPU-5f1c2d3e"]}) == []
    assert lacks({**XCHPLOT2, "gpus": 2}) == []


def test_too_little_memory_of_the_machine_is_a_warning_with_both_figures(
    machine: Callable[..., None],
) -> None:
    machine(125.6)
    assert lacks(GIGAHORSE) == [
        "plotting.type: a job of madmax gpuplot with k32 needs 256.0 GiB of memory; "
        "this machine has 125.6 GiB"
    ]
    assert lacks(GIGAHORSE, tmp2="/t2") == []
    assert lacks({**GIGAHORSE, "gpus": ["0"], "jobs_per_gpu": 3}, tmp2="/t2") == [
        "plotting.gpus: a job of madmax gpuplot with k32 needs 128.0 GiB, 3 jobs at a time 384.0 GiB of "
        "memory; this machine has 125.6 GiB"
    ]
    one_at_a_time = {"scheduling": {**PLOTTER["scheduling"], "global_max_jobs": 1}}
    assert lacks({**GIGAHORSE, "gpus": ["0"], "jobs_per_gpu": 3}, one_at_a_time, tmp2="/t2") == []


def test_too_little_memory_of_a_gpu_is_a_warning_that_names_it(machine: Callable[..., None]) -> None:
    machine(512)
    assert lacks({**GIGAHORSE, "gpus": 2}) == [
        "plotting.gpus: a job of madmax gpuplot with k32 needs 7.5 GiB of a GPU's memory; GPU 1 has 4.0 GiB"
    ]
    assert lacks({**XCHPLOT2, "gpus": ["GPU-77aa2d3e"], "jobs_per_gpu": 4}) == [
        "plotting.gpus: a job of xchplot2 with k28 needs 1.3 GiB, 4 jobs at a time 5.2 GiB of a GPU's "
        "memory; GPU GPU-77aa2d3e has 4.0 GiB"
    ]
    assert lacks({**XCHPLOT2, "gpus": ["7", "MIG-1"]}) == ["plotting.gpus: nvidia-smi lists no GPU 7"]
    machine(512, TWO.splitlines(keepends=True)[1])
    (told,) = lacks(GIGAHORSE)
    assert told.endswith("needs 7.5 GiB of a GPU's memory; the largest has 4.0 GiB")


@pytest.mark.parametrize(
    ("smi", "exit_code"),
    [
        (None, 0),
        ("", 0),
        ("No devices were found\n", 6),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n", 9),
        ("0, GPU-1, 4096, more\n\xff\n", 0),
        (ODD, 0),
    ],
)
def test_a_gpu_that_nobody_lists_is_not_judged(
    machine: Callable[..., None], smi: str | None, exit_code: int
) -> None:
    machine(512, smi, exit_code)
    assert gpus() == []
    assert lacks({**GIGAHORSE, "gpus": 2}) == []
