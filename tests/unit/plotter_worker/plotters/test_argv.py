"""The command lines we start; each is understood again by the plotter that it is for."""

from __future__ import annotations

from typing import Any

import pytest

from common.config.sections.plotting import Plotting
from plotter_worker.plotters.base import Mode
from plotter_worker.plotters.registry import PLOTTERS, plotter_for, recognise

KEYS = {"farmer_pk": "f00d", "pool_pk": "beef"}


def argv(plotting: dict[str, Any], tmp2: str | None = "/t2") -> str:
    config = Plotting.model_validate({**KEYS, **plotting})
    return " ".join(plotter_for(config.type.value).argv(config, "/t1", tmp2, "/d"))


@pytest.mark.parametrize(
    ("plotting", "tmp2", "expected"),
    [
        (
            {"type": "chia"},
            None,
            "chia plots create -k 32 -n 1 -r 2 -u 128 -b 3389 -t /t1 -d /d -f f00d -p beef",
        ),
        (
            {"type": "chia", "chia": {"k": 25, "e": True, "x": True}},
            "/t2",
            "chia plots create -k 25 --override-k -n 1 -r 2 -u 128 -b 3389 -t /t1 -2 /t2 -d /d -e -x "
            "-f f00d -p beef",
        ),
        (
            {
                "type": "chiapos",
                "chiapos": {"k": 18, "n_buckets": 16, "job_buffer": 200, "stripes": 2000},
            },
            "/t2",
            "chia plotters chiapos -k 18 -n 1 -r 2 -u 16 -b 200 -s 2000 -t /t1 -2 /t2 -d /d -x "
            "-f f00d -p beef",
        ),
        (
            {"type": "madmax"},
            "/t2",
            "chia_plot -n 1 -r 4 -u 256 -v 256 -K 1 -t /t1/ -2 /t2/ -d /d/ -f f00d -p beef",
        ),
        (
            {"type": "madmax", "madmax": {"k": 33, "network_port": 9699, "tmptoggle": True}},
            None,
            "chia_plot_k34 -k 33 -x 9699 -n 1 -r 4 -u 256 -v 256 -K 1 -G -t /t1/ -d /d/ -f f00d -p beef",
        ),
        (
            {"type": "madmax", "madmax": {"mode": "gpuplot"}},
            None,
            "cuda_plot_k32 -n 1 -t /t1/ -d /d/ -f f00d -p beef",
        ),
        (
            {
                "type": "madmax",
                "madmax": {
                    "mode": "gpuplot", "compression": 33,
                    "gpu_device": 0, "gpu_ndevices": 2, "gpu_streams": 3,
                    "gpu_shared_memory": 64, "gpu_directio": True, "gpu_tmp3": "/t3", "network_port": 8444,
                    "executable_gpu": "/opt/cuda_plot_k32_v3",
                },
            },
            "/t2",
            "/opt/cuda_plot_k32_v3 -n 1 -x 8444 -C 33 -g 0 -r 2 -S 3 -M 64 -D -t /t1/ -2 /t2/ -3 /t3/ -d /d/ "
            "-f f00d -p beef",
        ),
        ({"type": "bladebit"}, None, "bladebit -n 1 -f f00d -p beef ramplot /d"),
        (
            {"type": "bladebit", "bladebit": {"mode": "diskplot", "threads": 8, "diskplot_cache": "32G"}},
            None,
            "bladebit -t 8 -n 1 -f f00d -p beef diskplot --cache 32G --temp1 /t1 --temp2 /t1 /d",
        ),
        (
            {
                "type": "bladebit",
                "bladebit": {"mode": "cudaplot", "compression": 7, "disk_16": True, "no_numa": True},
            },
            "/t2",
            "bladebit_cuda -n 1 -f f00d -p beef --compress 7 --no-numa cudaplot --disk-16 "
            "--temp1 /t1 --temp2 /t2 /d",
        ),
    ],
)  # fmt: skip
def test_options_become_the_command_that_the_plotter_documents(
    plotting: dict[str, Any], tmp2: str | None, expected: str
) -> None:
    assert argv(plotting, tmp2) == expected


def test_a_pool_contract_replaces_the_pool_key() -> None:
    for plotter in PLOTTERS:
        config = Plotting.model_validate(
            {"type": plotter.name, "farmer_pk": "f00d", "pool_contract_address": "xch1pool"}
        )
        words = plotter.argv(config, "/t1", None, "/d")
        assert words[words.index("-c") + 1] == "xch1pool"
        assert "-p" not in words


@pytest.mark.parametrize(
    ("plotting", "uses_tmp"),
    [
        ({"type": "chia"}, True),
        ({"type": "chiapos", "chiapos": {"k": 18}}, True),
        ({"type": "madmax", "madmax": {"compression": 5}}, True),
        ({"type": "madmax", "madmax": {"mode": "gpuplot", "compression": 7}}, True),
        ({"type": "bladebit"}, False),
        ({"type": "bladebit", "bladebit": {"mode": "diskplot"}}, True),
        ({"type": "bladebit", "bladebit": {"mode": "cudaplot", "compression": 3}}, False),
        ({"type": "bladebit", "bladebit": {"mode": "cudaplot", "disk_128": True}}, True),
    ],
)
def test_our_commands_are_recognised_with_the_same_size(plotting: dict[str, Any], uses_tmp: bool) -> None:
    config = Plotting.model_validate({**KEYS, **plotting})
    plotter = plotter_for(config.type.value)
    found = recognise(plotter.argv(config, "/t1", "/t2", "/d"), "/anywhere")
    assert found is not None
    assert found[0] is plotter
    command = found[1]
    assert (command.n, command.dst, command.wrapper) == (1, "/d", False)
    assert (command.tmp, command.tmp2) == (("/t1", "/t2") if uses_tmp else (None, None))
    recipe = plotter.recipe(config, separate_tmp2=True)
    room = plotter.size_estimate(command)
    assert room is not None
    if command.mode is Mode.RAM or command.mode is Mode.CUDA:
        assert (room.tmp_bytes, room.tmp2_bytes) == (0, 0)
    assert (recipe.plotter, recipe.k) == (plotter.name, command.k)
    assert (recipe.tmp_bytes, recipe.tmp2_bytes, recipe.dst_bytes) == (
        room.tmp_bytes, room.tmp2_bytes, room.dst_bytes
    )  # fmt: skip
