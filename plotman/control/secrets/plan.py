"""The machines of the farm and the address of its broker; kept as farm.json, for --add."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ConfigDict, Field

from common.errors import PlotmanError
from common.model.address import bracketed
from plotman.control.secrets.acl import Duty

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


class Machine(BaseModel):
    """One machine, which is one user of Redis. password_sha256: hex; the password is in its own file only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    duties: tuple[Duty, ...]
    password_sha256: str = Field(repr=False)

    def with_duties(self, more: Iterable[Duty]) -> Machine:
        return self.model_copy(update={"duties": tuple(sorted({*self.duties, *more}))})


class Plan(BaseModel):
    """A farm's machines, and the address by which they reach Redis.

    server_dir: where the folder `server` lies on the machine of Redis. ca_file: where ca.crt lies on each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    broker_host: str
    broker_port: int = Field(ge=1, le=65535)
    tls: bool
    server_dir: str
    ca_file: str
    machines: tuple[Machine, ...] = ()

    def with_machine(self, machine: Machine) -> Plan:
        """Return the plan with the machine added, or replaced if its name is known."""
        others = {each.name: each for each in self.machines} | {machine.name: machine}
        return self.model_copy(update={"machines": tuple(others[name] for name in sorted(others))})

    def machine(self, name: str) -> Machine | None:
        return next((each for each in self.machines if each.name == name), None)

    def broker_url(self, name: str, password: str) -> str:
        """Return the machine's farm.broker."""
        place = f"{name}:{password}@{bracketed(self.broker_host)}:{self.broker_port}/0"
        if not self.tls:
            return f"redis://{place}"
        return f"rediss://{place}?ssl_cert_reqs=required&ssl_ca_certs={self.ca_file}"


def wanted(names_of: Mapping[Duty, Iterable[str]]) -> dict[str, set[Duty]]:
    """Collect the duties by machine. Raises PlotmanError for an invalid name."""
    found: dict[str, set[Duty]] = {}
    for duty, names in names_of.items():
        for name in names:
            if not _NAME.fullmatch(name) or name == "default":
                raise PlotmanError(
                    f"{name!r} is not a valid name of a machine.",
                    "Use letters, digits, dots, dashes and underscores, and the name of its farm.host.",
                )
            found.setdefault(name, set()).add(duty)
    return found


def address(text: str) -> tuple[str, int]:
    """Parse HOST, HOST:PORT or [V6]:PORT as (host, port); default port 6379. Raises PlotmanError."""
    matched = re.fullmatch(r"(?:\[([0-9a-fA-F:]+)\]|([A-Za-z0-9._-]+))(?::(\d+))?", text)
    port = int(matched[3] or 6379) if matched else 0
    if matched is None or not 0 < port < 65536:
        raise PlotmanError(f"{text!r} is not an address.", "Write HOST or HOST:PORT, an IPv6 address in [].")
    return matched[1] or matched[2], port
