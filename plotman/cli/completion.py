"""`plotman completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
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
    click.echo(made(cli, {}, "plotman", "_PLOTMAN_COMPLETE").source())
