"""The course of `plotman up`: lock the state folder, set up the broker, run everything until a signal."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from common.config.broker_url import broker_url, embedded_broker
from common.names import STARTS_NONE, Role
from common.system.output import outlive_full_disk
from plotman.supervisor import broker
from plotman.supervisor.companions import follow, tell_problems, where_to_look
from plotman.supervisor.locks import (
    SHARED,
    STOP_S,
    Half,
    InstanceLock,
    ProcessShare,
    half_file,
    stop_left_over,
)
from plotman.supervisor.processes import BROKER, Child, Stage, child_process, wanted, wanted_by_half
from plotman.supervisor.supervised_process import Say
from plotman.supervisor.supervisor import Companion, Supervisor

_OTHER_S = 15.0  # how long the other half may take to start its broker

if TYPE_CHECKING:
    from common.config.model import Config


def up(
    config: Config, config_file: Path, say: Say, only: tuple[str, ...] = (), half: Half | None = None
) -> None:
    """Run this machine's processes until SIGINT or SIGTERM. Plots continue after that.

    Raises PlotmanError if another supervisor holds the state folder, or there is nothing to run.

    config_file: the processes read it again. say: prints a line for the operator. only: names of the
    processes to run; empty for all. half: run only the processes of this half.
    """
    outlive_full_disk()
    names = wanted(config, only) if half is None else wanted_by_half(config, half)
    state_dir = config.state_dir.absolute()
    claim = InstanceLock(state_dir, half)
    try:
        stop_what_was_left(claim, say)
        children = [child_of(name, config, config_file.absolute(), say, half) for name in names]
        shown = (
            f"{name} (starts no plots)" if STARTS_NONE in child.env else name
            for name, child in zip(names, children, strict=True)
            if child.needed_while is None
        )
        say(f"plotman on {config.host}: {', '.join(shown)}. Logs: {state_dir / 'logs'}. Ctrl-C stops.")
        for line in where_to_look(config, config_file.absolute(), names):
            say(line)
        url = broker_url(config)
        companions: list[Companion] = [lambda: follow(url, config.host, say)]
        if sys.stdin.isatty():  # someone reads it, and may mend it
            companions.append(lambda: tell_problems(config_file.absolute(), say))
        supervisor = Supervisor(children, state_dir, say, companions=companions)
        asyncio.run(supervisor.run(claim))
        say("Stopped.")
    finally:
        claim.release()


def stop_what_was_left(claim: InstanceLock, say: Say, timeout_s: float = STOP_S) -> None:
    """Stop the processes of a killed supervisor: two workers of one name would share their queue.

    timeout_s: a process that has not ended by then is killed.
    """
    left_over = claim.left_over()
    if left_over:
        names = ", ".join(f"{record.name} (pid {record.pid})" for record, _ in left_over)
        say(f"An earlier `plotman up` was killed; stopping its processes: {names}. Plots continue.")
        stop_left_over(left_over, timeout_s)


def child_of(name: str, config: Config, config_file: Path, say: Say, half: Half | None = None) -> Child:
    """How to start `name`. For the broker this first chooses its address, or waits for the broker of the
    other half."""
    share = _share(name, config.state_dir.absolute(), half)
    if name == BROKER:
        return _broker_child(config.state_dir.absolute(), say, share)
    child = child_process(name, config, config_file)
    if share is not None and share.yields_to is not None:
        child = replace(child, env={**child.env, STARTS_NONE: "1"})
    return replace(child, share=share)


def _share(name: str, state_dir: Path, half: Half | None) -> ProcessShare | None:
    if half is None or name not in SHARED:
        return None
    yields = half is Half.ARCHIVE and name == Role.PLOTTER
    return ProcessShare(state_dir / f"{name}.lock", half_file(state_dir, Half.PLOT) if yields else None)


def _broker_child(state_dir: Path, say: Say, share: ProcessShare | None) -> Child:
    address = None
    deadline = time.monotonic() + _OTHER_S
    while share is not None and not share.take() and time.monotonic() < deadline:
        # The other half runs one, or will: it writes the address as soon as it is chosen.
        if (address := embedded_broker(state_dir)) is not None and broker.answers(address.url):
            break
        time.sleep(0.1)
    else:
        address = broker.settle(state_dir, say)
    return Child(BROKER, broker.argv(state_dir), Stage.BROKER, ready_url=address.url, share=share)
