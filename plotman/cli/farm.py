"""`plotman farm`: the farm as a whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from plotman.control.secrets.plan import Plan


def _duty(name: str, text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(f"--{name}", name, multiple=True, metavar="NAME", help=text)


@click.group()
def farm() -> None:
    """Set up a farm of several machines."""


@farm.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@_duty("plotter", "A machine that plots.")
@_duty("harvester", "A machine with drives.")
@_duty("scheduler", "A machine that schedules; its user may give orders.")
@_duty("viewer", "A user or machine that may only look.")
@click.option("--broker", metavar="HOST[:PORT]", help="Where the machines reach Redis. Port: 6379.")
@click.option(
    "--tls/--no-tls",
    default=True,
    show_default=True,
    help="Encrypt connections; the certificates are made here.",
)
@click.option("--add", is_flag=True, help="Add to the farm in FOLDER; the other passwords stay.")
@click.option("--force", is_flag=True, help="Replace all passwords and certificates in FOLDER.")
@click.option(
    "--server-dir",
    metavar="PATH",
    help="Where the files of FOLDER/server will be on Redis' machine. Default: FOLDER/server.",
)
@click.option(
    "--ca-file",
    default="/etc/plotman/ca.crt",
    show_default=True,
    help="Where ca.crt will be on each machine.",
)
def secrets(
    folder: Path,
    broker: str | None,
    tls: bool,
    add: bool,
    force: bool,
    server_dir: str | None,
    ca_file: str,
    **names_of: tuple[str, ...],
) -> None:
    """Write passwords, rights and certificates for a farm into FOLDER.

    Each NAME is a machine's farm.host. It gets one user in Redis, with the rights of all its duties.
    With --add the other machines keep their passwords.

    Prints the commands that install the files and restart Redis, to paste. Prints no password.
    """
    from common.system import machine
    from plotman.control.secrets import folder as secrets_folder
    from plotman.control.secrets.acl import Duty
    from plotman.control.secrets.plan import Plan, address, wanted
    from plotman.control.secrets.texts import commands

    duties = wanted({Duty(name): names for name, names in names_of.items()})
    if not duties:
        raise click.UsageError("Name at least one machine: --plotter, --harvester, --scheduler or --viewer.")
    if add and (broker or force):
        raise click.UsageError("--add keeps the broker's address; leave --broker and --force away.")
    folder = folder.absolute()
    if add:
        written = secrets_folder.add(folder, duties)
    else:
        if broker is None:
            raise click.UsageError("Name the machine of Redis: --broker HOST[:PORT].")
        host, port = address(broker)
        server_dir = server_dir or str(folder / "server")
        plan = Plan(broker_host=host, broker_port=port, tls=tls, server_dir=server_dir, ca_file=ca_file)
        written = secrets_folder.create(folder, plan, duties, force)
    plan = secrets_folder.read(folder)
    new = [path.stem for path in written if path.parent.name == "machines"]
    click.echo(commands(folder, plan, new, machine.is_here, add))
    for line in (
        "",
        "Run these commands as root, or paste them one by one. Then, on each machine,",
        "complete plotman.yaml and give it to the user who runs plotman:",
        f"  chown -R plotman: {Path(plan.ca_file).parent}",
        *_new_duties(plan, set(duties) - set(new)),
        f"{folder} holds every password. Keep it safe: --add needs it.",
    ):
        click.echo(line, err=True)


def _new_duties(plan: Plan, names: set[str]) -> list[str]:
    """Describe what to change on machines that had a password before."""
    return [
        f"{name} keeps its plotman.yaml. Add there what it does now: {', '.join(known.duties)}."
        for name in sorted(names)
        if (known := plan.machine(name))
    ]
