"""`plotman up`, whole: claim the state folder, settle the broker, run everything until told to stop."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from common.broker import broker_url
from plotman.up import broker
from plotman.up.children import BROKER, METRICS, NOTIFIER, Child, Stage, celery_child, verb_child, wanted
from plotman.up.claim import STOP_S, Claim, stop_left_over
from plotman.up.events import follow
from plotman.up.keeper import Say
from plotman.up.runner import Runner

if TYPE_CHECKING:
    from common.config.model import Config


def up(config: Config, config_file: Path, say: Say, only: tuple[str, ...] = ()) -> None:
    """Run this machine's processes until SIGINT or SIGTERM; plots go on after that.

    config_file: where `config` was read from; its processes read it again.
    only: names of the processes to run; empty for all that plotman.yaml asks for.
    Raises PlotmanError when another runner holds the state folder, or there is nothing to run.
    """
    names = wanted(config, only)
    state_dir = config.state_dir.absolute()
    claim = Claim(state_dir)
    try:
        stop_what_was_left(claim, say)
        children = [child_of(name, config, config_file.absolute(), say) for name in names]
        say(f"plotman on {config.host}: {', '.join(names)}. Logs: {state_dir / 'logs'}. Ctrl-C stops.")
        url = broker_url(config)
        runner = Runner(children, state_dir, say, companions=[lambda: follow(url, config.host, say)])
        asyncio.run(runner.run(claim))
        say("Stopped.")
    finally:
        claim.release()


def stop_what_was_left(claim: Claim, say: Say, timeout_s: float = STOP_S) -> None:
    """Stop what a killed runner left behind: two workers of one name would take turns at its tasks.

    timeout_s: what does not end by then is killed.
    """
    left_over = claim.left_over()
    if left_over:
        names = ", ".join(f"{record.name} (pid {record.pid})" for record, _ in left_over)
        say(f"An earlier `plotman up` was killed; stopping what it left: {names}. Plots go on.")
        stop_left_over(left_over, timeout_s)


def child_of(name: str, config: Config, config_file: Path, say: Say) -> Child:
    """How `name` is started. For the broker this chooses its address first."""
    if name in (METRICS, NOTIFIER):
        return verb_child(name, config, config_file)
    if name != BROKER:
        return celery_child(name, config, config_file)
    state_dir = config.state_dir.absolute()
    address = broker.settle(state_dir, say)
    return Child(BROKER, broker.argv(state_dir), Stage.BROKER, ready_url=address.url)
