"""Shell completion: `plotman completion`, and plot ids, hosts and places from the notice board.

Fast and silent: if the board cannot be read within a second, nothing is offered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem, get_completion_class

if TYPE_CHECKING:
    from plotman.control.farm import FarmState

_WAIT_S = 1.0
Items = list[CompletionItem]


@click.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> None:
    """Print a script that completes verbs, options, hosts and plot ids in your shell.

    \b
    bash:  eval "$(plotman completion bash)"     in ~/.bashrc
    zsh:   eval "$(plotman completion zsh)"      in ~/.zshrc
    fish:  plotman completion fish | source      in ~/.config/fish/config.fish
    """
    from plotman.cli import cli

    made = get_completion_class(shell)
    assert made is not None  # click knows the three
    source = made(cli, {}, "plotman", "_PLOTMAN_COMPLETE").source()
    click.echo(_with_colons(source) if shell == "bash" else source)


def _with_colons(source: str) -> str:
    """Let bash complete HOST:DIR as one word.

    bash parts words at `:`, and replaces only what follows it. So plotman gets these words joined again, and
    bash what follows the last colon.
    """
    joined = """    local response
    local i before words=() cword=0
    for i in "${!COMP_WORDS[@]}"; do
        if ((i > 0)) && [[ ${COMP_WORDS[i]} == :* || ${words[-1]} == *: ]]; then
            words[-1]+=${COMP_WORDS[i]}
        else
            words+=("${COMP_WORDS[i]}")
        fi
        ((i == COMP_CWORD)) && cword=$((${#words[@]} - 1))
    done
    [[ $COMP_WORDBREAKS == *:* ]] && before="${words[cword]%"${words[cword]##*:}"}"
"""
    replaced = (
        ("    local response\n", joined),
        (
            'COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD',
            'COMP_WORDS="${words[*]}" COMP_CWORD=$cword',
        ),
        ("COMPREPLY+=($value)", 'COMPREPLY+=("${value#"$before"}")'),
    )
    for old, new in replaced:
        source = source.replace(old, new)
    return source


def complete_host(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
    farm = _farm()
    return _starting(incomplete, farm.plotters if farm else ())


def complete_harvester(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
    farm = _farm()
    return _starting(incomplete, farm.harvesters if farm else ())


def complete_drive(ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
    """Complete drives (of --host, if given)."""
    farm = _farm()
    if farm is None:
        return []
    drives = {
        drive.path
        for host, snapshot in farm.harvesters.items()
        if ctx.params.get("host") in (None, host)
        for drive in snapshot.drives
    }
    return _starting(incomplete, drives)


def complete_silent_host(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
    """Complete hosts without any live worker."""
    farm = _farm()
    if farm is None:
        return []
    from plotman.control.actions.forget import silent_hosts

    return _starting(incomplete, silent_hosts(farm))


def complete_plot(ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
    """Complete running plots (of --host, if given), with host, directory and phase."""
    farm = _farm()
    if farm is None:
        return []
    from plotman.control.selectors import PlotSelection

    targets = [
        PlotSelection(host, job) for host, job in farm.jobs() if ctx.params.get("host") in (None, host)
    ]
    offered = [
        CompletionItem(
            target.name, help=f"{target.host} {target.job.tmp or ''} {target.job.phase or ''}".strip()
        )
        for target in targets
    ]
    known = (*offered, CompletionItem("all"))
    return [item for item in known if item.value.startswith(incomplete.lower()) and _is_harmless(item.value)]


def complete_subject(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
    """Complete what `why` explains: hosts, running and finished plots, directories and drives."""
    farm = _farm()
    if farm is None:
        return []
    from plotman.control.actions.holds import directories

    places = [folder for listed in directories(farm).values() for folder in listed]
    hosts = [host for snapshots in farm.snapshots.values() for host in snapshots]
    plots = [job.plot_id[:8] for _, job in farm.jobs() if job.plot_id]
    return _starting(incomplete, {*hosts, *plots, *_finished(farm), *places})


def complete_resend(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
    """Complete finished plots that are not moved by themselves."""
    farm = _farm()
    return [] if farm is None else _starting(incomplete, _finished(farm, refused=True))


def _finished(farm: FarmState, refused: bool = False) -> set[str]:
    """Names of finished plots. refused: only those that may need `resend`: refused, or sent before."""
    from common.model.snapshot import PlotState

    return {
        plot.plot_id[:8] if plot.plot_id else plot.path
        for snapshot in farm.plotters.values()
        for plot in snapshot.plots
        if not refused or plot.state is PlotState.REFUSED or plot.copied_to is not None
    }


def complete_rate(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
    return _starting(incomplete, ("off", "default"))


def complete_place(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
    """Complete what may be drained: hosts, and after HOST: its directories and drives."""
    farm = _farm()
    if farm is None:
        return []
    from plotman.control.actions.holds import EVERY, directories

    known = directories(farm)
    if ":" not in incomplete:
        return _starting(incomplete, {EVERY, *(host for _, host in known)})
    return _starting(
        incomplete, {f"{host}:{folder}" for (_, host), listed in known.items() for folder in listed}
    )


def complete_place_of_harvester(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
    """Complete harvesters, and after HOST: their drives."""
    farm = _farm()
    if farm is None:
        return []
    if ":" not in incomplete:
        return _starting(incomplete, farm.harvesters)
    drives = {f"{host}:{drive.path}" for host, one in farm.harvesters.items() for drive in one.drives}
    return _starting(incomplete, drives)


def _starting(incomplete: str, words: Iterable[str]) -> Items:
    return [
        CompletionItem(word) for word in sorted(words) if word.startswith(incomplete) and _is_harmless(word)
    ]


def _is_harmless(name: str) -> bool:
    """Whether the name, from another machine, means the same to a shell without quotes: bash inserts none."""
    return re.fullmatch(r"[A-Za-z0-9_./:@%+,=][A-Za-z0-9_./:@%+,=~-]*", name) is not None


def _farm() -> FarmState | None:
    import logging

    from common.errors import PlotmanError

    logging.disable()  # a warning about plotman.yaml must not disturb completion
    try:
        from plotman.control.farm import quick_board, read_farm

        return read_farm(quick_board(_WAIT_S))
    except (PlotmanError, OSError):
        return None
