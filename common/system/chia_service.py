"""Asks the services of chia on this machine by their RPC, as chia's own clients do: HTTPS with certificates
of chia's private authority. Only questions; nothing of chia is changed.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from common.errors import PlotmanError
from common.model.text import one_line

M = TypeVar("M", bound=BaseModel)
S = TypeVar("S", bound="ChiaSettings")

_LONGEST_WORDS = 300


class ChiaSilent(PlotmanError):
    """A service of chia does not answer, or its settings cannot be read."""


class UnknownQuestion(ValueError):
    """The service runs, and its version of chia does not know this question."""


@dataclass(frozen=True, slots=True)
class ChiaService:
    """A service of chia.

    name: in sentences. start: what `chia start` calls it. section: its section in chia's config.yaml.
    key: the key of plotman.yaml with the folder of its settings.
    """

    name: str
    start: str
    section: str
    key: str

    @property
    def check(self) -> str:
        """What to do if it does not answer."""
        return f"Check that {self.name} runs (`chia start {self.start}`), and {self.key} in plotman.yaml."


HARVESTER = ChiaService("chia's harvester", "harvester", "harvester", "harvester.chia_root")
FULL_NODE = ChiaService("chia's full node", "node", "full_node", "replot.chia_root")


class ChiaForm(BaseModel):
    """What is used of a file or an answer of chia; more may be in it."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class _Files(ChiaForm):
    private_crt: str
    private_key: str


class _Authority(ChiaForm):
    crt: str


class ServiceSettings(ChiaForm):
    """What is used of the section of each service."""

    rpc_port: int = Field(ge=1, le=65535)


class ChiaSettings(ChiaForm):
    """What is used of config/config.yaml for each service."""

    self_hostname: str = "localhost"
    daemon_ssl: _Files
    private_ssl_ca: _Authority


class _Health(ChiaForm):
    pass


class Connection:
    """To one service, for a few questions."""

    def __init__(self, connection: http.client.HTTPSConnection, most_bytes: int) -> None:
        self._connection = connection
        self._most_bytes = most_bytes

    def ask(self, question: str, form: type[M]) -> M:
        """Ask one question.

        Args:
            question: its name in chia's RPC.
            form: of the answer.

        Raises:
            UnknownQuestion: this version of chia does not have it.
            OSError, HTTPException, ValueError, RecursionError: `connect` makes ChiaSilent of them.
        """
        self._connection.request("POST", f"/{question}", b"{}", {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        body = response.read(self._most_bytes + 1)
        what = f"{question} is answered with {response.status} and {len(body)} bytes"
        if response.status == http.HTTPStatus.NOT_FOUND:
            raise UnknownQuestion(what)
        if response.status != http.HTTPStatus.OK or len(body) > self._most_bytes:
            raise ValueError(what)
        answer: Any = json.loads(body)
        if not isinstance(answer, dict) or answer.get("success") is not True:
            raise ValueError(f"{question} is refused")
        try:
            return form.model_validate(answer)
        except ValidationError as error:
            raise ValueError(f"the answer to {question} has another form") from error


def read_settings(root: str, service: ChiaService, form: type[S]) -> S:
    """Read chia's settings.

    Args:
        root: folder of the settings (CHIA_ROOT).
        service: that will be asked.
        form: what is used of them.

    Raises:
        ChiaSilent: they cannot be read, or something is missing.
    """
    path = Path(root) / "config" / "config.yaml"
    try:
        return form.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError, RecursionError) as error:
        raise ChiaSilent(f"{path} cannot be read: {_in_words(error)}.", service.check) from error


@contextmanager
def connect(
    root: str, service: ChiaService, settings: ChiaSettings, port: int, timeout_s: float, most_bytes: int
) -> Iterator[Connection]:
    """Connect to a service of chia. Errors of the questions become ChiaSilent.

    Args:
        root: folder of the settings (CHIA_ROOT).
        service: that is asked.
        settings: of `read_settings`.
        port: of its RPC.
        timeout_s: without a byte from the service.
        most_bytes: of an answer.

    Raises:
        ChiaSilent: the service does not answer, or the certificates cannot be used.
    """
    context = _context(root, service, settings)
    connection = http.client.HTTPSConnection(settings.self_hostname, port, timeout=timeout_s, context=context)
    try:
        yield Connection(connection, most_bytes)
    except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
        where = f"{settings.self_hostname}:{port}"
        raise ChiaSilent(
            f"{service.name} does not answer at {where}: {_in_words(error)}.", service.check
        ) from error
    finally:
        connection.close()


def reach(root: str, service: ChiaService, timeout_s: float) -> None:
    """Ask a service whether it is well.

    Args:
        root: folder of the settings (CHIA_ROOT).
        service: that is asked.
        timeout_s: without a byte from the service.

    Raises:
        ChiaSilent: it does not answer, or its settings cannot be read.
    """

    class Settings(ChiaSettings):
        service_settings: ServiceSettings = Field(alias=service.section)

    settings = read_settings(root, service, Settings)
    port = settings.service_settings.rpc_port
    with connect(root, service, settings, port, timeout_s, most_bytes=1 << 16) as connection:
        connection.ask("healthz", _Health)


def _context(root: str, service: ChiaService, settings: ChiaSettings) -> ssl.SSLContext:
    """As chia's own clients: certificates of the private authority of this folder; they name no host."""
    here, own = Path(root), settings.daemon_ssl
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(here / settings.private_ssl_ca.crt)
        context.load_cert_chain(here / own.private_crt, here / own.private_key)
    except OSError as error:  # ssl.SSLError is one
        raise ChiaSilent(
            f"The certificates below {root} cannot be used: {_in_words(error)}.",
            f"Let plotman's user read the files below config/ssl of this folder, or remove {service.key}.",
        ) from error
    return context


def _in_words(error: Exception) -> str:
    if isinstance(error, ValidationError):
        wrong = sorted({".".join(map(str, one["loc"])) for one in error.errors(include_input=False)})
        return f"wrong or missing: {', '.join(wrong) or 'all'}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return one_line(str(error) or type(error).__name__, _LONGEST_WORDS)
