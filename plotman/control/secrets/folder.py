"""The folder of secrets: only its owner may read it, and files are overwritten only on request."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Set
from pathlib import Path

from pydantic import ValidationError

from common.errors import ExitCode, PlotmanError
from common.system import statefile
from plotman.control.secrets import certificates, texts
from plotman.control.secrets.acl import Duty, acl_file, user_line
from plotman.control.secrets.plan import Machine, Plan

_PLAN = "farm.json"


class SecretsExist(PlotmanError):
    """The folder has secrets already, and neither --add nor --force is given."""

    exit_code = ExitCode.USAGE


def create(folder: Path, plan: Plan, duties: Mapping[str, Set[Duty]], force: bool = False) -> list[Path]:
    """Make all secrets for these machines; returns the written files. Raises SecretsExist, PlotmanError.

    plan: without machines. duties: machine -> its duties. force: replace existing secrets; machines that are
    installed already then need their new files.
    """
    if not force and folder.exists() and any(folder.iterdir()):
        raise SecretsExist(
            f"{folder} is not empty.",
            "Add machines to the farm in it with --add, or make everything anew with --force.",
        )
    made = certificates.make(plan.broker_host) if plan.tls else None
    _make_private(folder)
    passwords = {name: secrets.token_urlsafe(32) for name in duties}
    for name, password in passwords.items():
        plan = plan.with_machine(_machine(name, duties[name], password))
    written = []
    if made is not None:
        _make_private(folder / "server")
        files = {"ca.crt": made.ca, "server.crt": made.server, "server.key": made.server_key}
        written = [_write(folder / "server" / file, content) for file, content in files.items()]
    return [*written, *_write_farm(folder, plan, passwords)]


def add(folder: Path, duties: Mapping[str, Set[Duty]]) -> list[Path]:
    """Add machines, or duties to machines; known machines keep their passwords. Returns the written files.

    Raises PlotmanError if the folder has no farm.
    """
    plan = read(folder)
    passwords = {}
    for name, wanted in duties.items():
        known = plan.machine(name)
        if known is not None:
            plan = plan.with_machine(known.with_duties(wanted))
        else:
            passwords[name] = secrets.token_urlsafe(32)
            plan = plan.with_machine(_machine(name, wanted, passwords[name]))
    return _write_farm(folder, plan, passwords)


def read(folder: Path) -> Plan:
    """Read the plan of the farm. Raises PlotmanError."""
    path = folder / _PLAN
    try:
        return Plan.model_validate_json(path.read_bytes())
    except OSError as error:
        raise PlotmanError(
            f"{path} cannot be read: {error.strerror}.", "Make the farm's secrets first, without --add."
        ) from error
    except ValidationError as error:
        raise PlotmanError(
            f"{path} is not what `plotman farm secrets` wrote.", "Make them anew with --force."
        ) from error


def _machine(name: str, duties: Set[Duty], password: str) -> Machine:
    digest = hashlib.sha256(password.encode()).hexdigest()
    return Machine(name=name, duties=tuple(sorted(duties)), password_sha256=digest)


def _write_farm(folder: Path, plan: Plan, passwords: Mapping[str, str]) -> list[Path]:
    """passwords: of the new machines; only their files are written."""
    for each in (folder, folder / "server", folder / "machines"):
        _make_private(each)
    users = acl_file(user_line(each.name, each.duties, each.password_sha256) for each in plan.machines)
    written = [
        _write(folder / "server" / "users.acl", users.encode()),
        _write(folder / "server" / "redis.conf", texts.redis_conf(plan).encode()),
    ]
    for name, password in passwords.items():
        machine = plan.machine(name)
        assert machine is not None
        text = texts.machine_yaml(plan, machine, password)
        written.append(_write(folder / "machines" / f"{name}.yaml", text.encode()))
    # Last: if this file exists, all others do.
    _write(folder / _PLAN, (plan.model_dump_json(indent=2) + "\n").encode())
    return written


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise PlotmanError(f"{folder} cannot be made: {error.strerror}.", "Name another folder.") from error


def _write(path: Path, content: bytes) -> Path:
    """Replace the file as a whole; only its owner may ever read it."""
    try:
        statefile.replace(path, content)
    except OSError as error:
        raise PlotmanError(
            f"{path} cannot be written: {error.strerror}.", "Make room, and try again."
        ) from error
    return path
