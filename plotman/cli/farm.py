"""`plotman farm`: the farm as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from plotman.control.secrets.plan import Plan


@click.group()
def farm() -> None:
    """Set up a farm of several machines."""


@farm.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--plotter", "plotters", multiple=True, metavar="NAME", help="A machine that plots.")
@click.option("--harvester", "harvesters", multiple=True, metavar="NAME", help="A machine with drives.")
@click.option(
    "--scheduler",
    "schedulers",
    multiple=True,
    metavar="NAME",
    help="A machine that schedules; its user may give orders.",
)
@click.option(
    "--viewer", "viewers", multiple=True, metavar="NAME", help="A user or machine that may only look."
)
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
    plotters: tuple[str, ...],
    harvesters: tuple[str, ...],
    schedulers: tuple[str, ...],
    viewers: tuple[str, ...],
    broker: str | None,
    tls: bool,
    add: bool,
    force: bool,
    server_dir: str | None,
    ca_file: str,
) -> None:
    """Write passwords, rights and certificates for a farm into FOLDER.

    Each NAME is a machine's farm.host. It gets one user in Redis, with the rights of all its duties.
    With --add the other machines keep their passwords.

    Prints the commands that install the files and restart Redis, to paste. Prints no password.
    """
    from common.system import machine
    from plotman.control.secrets import folder as secrets_folder
    from plotman.control.secrets.plan import Plan, address, wanted
    from plotman.control.secrets.steps import commands

    duties = wanted(plotters, harvesters, schedulers, viewers)
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
        plan = Plan(
            broker_host=host,
            broker_port=port,
            tls=tls,
            server_dir=server_dir or str(folder / "server"),
            ca_file=ca_file,
        )
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
