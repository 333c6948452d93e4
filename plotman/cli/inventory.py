"""`plotman inventory`: what lies on the drives of the farm."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from common.errors import ExitCode
from common.model.disk_usage import trimmed
from plotman.cli.completion import complete_drive, complete_harvester
from plotman.cli.console import JSON, as_json, draw

if TYPE_CHECKING:
    from plotman.control.queries.inventory import FarmInventory

_EXAMPLES = """
\b
plotman inventory                             plots by format, level and pool
plotman inventory --by drive --host farm1     how many on each drive of a machine
plotman inventory --by month                  when they were made
plotman inventory --files --drive /mnt/farm/3 each file; what is no whole plot first
plotman inventory --duplicates                plots that take space twice
plotman inventory --farmed                    whether chia farms them
plotman inventory --disks                     health, temperature and age of the disks
"""


@click.command(
    epilog=_EXAMPLES,
    help="Show what lies on the drives: plots and bytes by class, drive, host, pool or month.\n\n"
    "A file is a plot by its header, whatever its name. Each harvester keeps the list of its drives, so that "
    "no drive is read for this answer.",
)
@click.option("--host", help="Only this harvester.", shell_complete=complete_harvester)
@click.option("--drive", metavar="DIR", help="Only this drive.", shell_complete=complete_drive)
@click.option(
    "--by",
    type=click.Choice(("class", "drive", "host", "pool", "month")),
    default="class",
    show_default=True,
    help="What makes a row.",
)
@click.option("--files", is_flag=True, help="List the files: first what is no whole plot, and why.")
@click.option("--duplicates", is_flag=True, help="List plots that are in several files of the farm.")
@click.option("--farmed", is_flag=True, help="Ask chia on each machine whether it farms the plots.")
@click.option("--disks", is_flag=True, help="Show what smartctl tells of the disks below the drives.")
@JSON
def inventory(
    host: str | None,
    drive: str | None,
    by: str,
    files: bool,
    duplicates: bool,
    farmed: bool,
    disks: bool,
    json_: bool,
) -> None:
    drive = drive and trimmed(drive)
    if files + duplicates + farmed + disks > 1:
        raise click.UsageError("Choose one of --files, --duplicates, --farmed and --disks.")
    if disks:
        _disks(host, drive, json_)
    elif farmed:
        _farmed(host, drive, json_)
    elif files:
        _files(host, drive, json_)
    elif duplicates:
        if drive is not None:
            raise click.UsageError("--duplicates compares all drives: leave out --drive.")
        _duplicates(host, json_)
    else:
        _sums(host, drive, by, json_)


def _sums(host: str | None, drive: str | None, by: str, json_: bool) -> None:
    from plotman.control.queries import inventory as query

    if drive is None and by in ("class", "host", "pool"):
        found = query.narrowed(_of_snapshots(), host)
    else:
        found = query.ask_sums(host, drive)
    if json_:
        as_json(query.as_dict(found, query.By(by)))
    else:
        draw(query.table(found, query.By(by)))
        _remarks(found)
    if found.missing:
        sys.exit(ExitCode.UNREACHABLE if not found.hosts else ExitCode.FAILED)


def _disks(host: str | None, drive: str | None, json_: bool) -> None:
    from plotman.control.farm import quick_board, read_farm
    from plotman.control.queries import disks as query

    found = query.drives(read_farm(quick_board()), host, drive)
    if json_:
        as_json(query.as_dict(found))
        return
    draw(query.table(found))
    if any(each.disk is None for _, each in found):
        click.echo(
            "?: not known. Each hour a harvester asks the disks that are awake, if smartctl (Debian: "
            "smartmontools) is installed there and plotman's user may ask them, as root may.",
            err=True,
        )


def _of_snapshots() -> FarmInventory:
    from plotman.control.farm import quick_board, read_farm
    from plotman.control.queries.inventory import by_snapshots

    return by_snapshots(read_farm(quick_board()))


def _remarks(found: FarmInventory) -> None:
    from common.model.text import one_line
    from common.model.units import counted, human_bytes
    from plotman.control.queries.inventory import remarks

    if found.hosts and not found.plots:
        click.echo("There are no plots.")
    if found.faults:
        size = human_bytes(sum(host.fault_bytes for host in found.hosts))
        files = counted(found.faults, "file")
        click.echo(f"{files} ({size}) no whole plot{'' if found.faults == 1 else 's'}: see --files.")
    if found.duplicates:
        click.echo(f"{counted(found.duplicates, 'plot')} twice on one machine: see --duplicates.")
    for sentence in remarks(found):
        click.echo(one_line(sentence), err=True)


def _files(host: str | None, drive: str | None, json_: bool) -> None:
    from common.model.text import one_line
    from plotman.control.queries.duplicate_plots import file_dict
    from plotman.control.queries.inventory import ask_files, file_text

    missing: dict[str, str] = {}
    listed: list[dict[str, Any]] = []
    count = 0
    for faults in (True, False):
        for name, file in ask_files(host, drive, missing, faults):
            count += 1
            if json_:
                listed.append({"host": name, **file_dict(file)})
                continue
            size, what, place = map(one_line, file_text(name, file))
            click.echo(f"{size:>9}  {what:<34}  {place}")
    if json_:
        as_json({"version": 1, "files": listed, "missing": _missing(missing)})
    elif not count:
        click.echo("There are no plots.")
    _exit_if(missing)


def _farmed(host: str | None, drive: str | None, json_: bool) -> None:
    from common.model.text import one_line
    from plotman.control.queries import farmed

    found = farmed.ask_farmed(host, drive)
    if json_:
        as_json(farmed.as_dict(found))
    else:
        draw(farmed.table(found))
        for name, file in found.files:
            click.echo(one_line(f"{name}:{file.drive}/{file.name}: {file.reason}"))
        for sentence in farmed.remedies(found):
            click.echo(one_line(sentence), err=True)
    _exit_if(found.missing)


def _duplicates(host: str | None, json_: bool) -> None:
    from common.model.text import one_line
    from common.model.units import counted, human_bytes
    from plotman.control.queries import duplicate_plots
    from plotman.control.queries.inventory import narrowed

    known = narrowed(_of_snapshots(), host)
    missing = dict(known.missing) | {one.host: "the harvester is silent" for one in known.hosts if one.silent}
    files: dict[str, int] = {}
    for part in known.parts:
        if part.host not in missing:
            files[part.host] = files.get(part.host, 0) + part.sums.files
    found = list(duplicate_plots.find(files, missing, _progress))
    if json_:
        plots = [duplicate_plots.as_dict(one) for one in found]
        as_json({"version": 1, "duplicates": plots, "missing": _missing(missing)})
    else:
        for one in found:
            click.echo(f"{one.plot_id[:16]}  {human_bytes(one.spare_bytes)} twice")
            for name, file in one.places:
                click.echo(one_line(f"    {name}:{file.drive}/{file.name}"))
        spare = human_bytes(sum(one.spare_bytes for one in found))
        click.echo(f"{counted(len(found), 'plot')} in several files: {spare} could be freed.")
    if len(found) >= duplicate_plots.DUPLICATES_MAX:
        click.echo(f"Only the first {len(found):,} are listed.", err=True)
    _exit_if(missing)


def _progress(done: int, of: int) -> None:
    if of > 1 and sys.stderr.isatty():
        click.echo(f"\rcompared {done} of {of} parts" + ("\n" if done == of else ""), err=True, nl=False)


def _missing(missing: dict[str, str]) -> list[dict[str, str]]:
    return [{"host": host, "why": why} for host, why in missing.items()]


def _exit_if(missing: dict[str, str]) -> None:
    from common.model.text import one_line

    for host, why in missing.items():
        click.echo(one_line(f"{host} is missing: {why.removesuffix('.')}."), err=True)
    if missing:
        sys.exit(ExitCode.FAILED)
