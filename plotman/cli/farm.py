"""`plotman farm`: the farm as a whole."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def farm() -> None:
    """Set up a farm of several machines."""


@farm.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--plotter", "plotters", multiple=True, metavar="NAME", help="A machine that plots.")
@click.option("--harvester", "harvesters", multiple=True, metavar="NAME", help="A machine with drives.")
@click.option(
    "--scheduler", "schedulers", multiple=True, metavar="NAME", help="A machine that decides, and may order."
)
@click.option("--viewer", "viewers", multiple=True, metavar="NAME", help="Somebody who may look only.")
@click.option("--broker", metavar="HOST[:PORT]", help="Where the machines reach Redis. Port: 6379.")
@click.option("--tls/--no-tls", default=True, show_default=True, help="Encrypt, with certificates made here.")
@click.option("--add", is_flag=True, help="Add to the farm in FOLDER; the others' passwords stay.")
@click.option("--force", is_flag=True, help="Make everything anew, over what is in FOLDER.")
@click.option(
    "--server-dir", metavar="PATH", help="Where FOLDER/server will lie on Redis' machine. Else: where it is."
)
@click.option(
    "--ca-file",
    default="/etc/plotman/ca.crt",
    show_default=True,
    help="Where ca.crt will lie on each machine.",
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
    """Make passwords, rights and certificates for a farm, into FOLDER.

    Each NAME is a machine's farm.host, and gets one user of Redis with the rights of all its duties. No
    password is printed.
    """
    from plotman.control.secrets import folder as secrets_folder
    from plotman.control.secrets.plan import Plan, address, wanted

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
    for path in written:
        click.echo(path)
    _say_what_next(folder, secrets_folder.read(folder).tls, add)


def _say_what_next(folder: Path, tls: bool, added: bool) -> None:
    restart = "restart it" if added else "start it with redis.conf (Redis 7.0 or newer)"
    certificate = f", and {folder / 'server' / 'ca.crt'} to the place named in it" if tls else ""
    for line in (
        f"Copy {folder / 'server'} to the machine of Redis and {restart}.",
        f"Put each machine's lines of {folder / 'machines'} into its plotman.yaml (chmod 600){certificate}.",
        "Then delete the copies here, or keep the folder safe: it holds every password.",
    ):
        click.echo(line, err=True)
