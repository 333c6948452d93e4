"""Asks chia's own harvester on this machine what it farms, by its RPC (chia-blockchain 2.7.5,
chia/harvester/harvester_rpc_api.py). Only questions; nothing of chia is changed.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from common.errors import PlotmanError

M = TypeVar("M", bound=BaseModel)

_ANSWER_S = 20.0
_MOST_BYTES = 128 << 20  # of an answer: 200,000 plots
_INTERVAL_S = 120.0  # chia's default
_CHECK = "Check that chia's harvester runs (`chia start harvester`), and harvester.chia_root in plotman.yaml."
_RIGHTS = "Let plotman's user read the files below config/ssl of this folder, or remove harvester.chia_root."


class ChiaSilent(PlotmanError):
    """chia's harvester does not answer, or its settings cannot be read."""


class _Form(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Files(_Form):
    private_crt: str
    private_key: str


class _Authority(_Form):
    crt: str


class _Refresh(_Form):
    interval_seconds: Annotated[float, Field(gt=0, le=1e6)] = _INTERVAL_S


class _Harvester(_Form):
    rpc_port: Annotated[int, Field(ge=1, le=65535)]
    recursive_plot_scan: bool = False
    plots_refresh_parameter: _Refresh = _Refresh()


class _Config(_Form):
    """What is used of config/config.yaml."""

    self_hostname: str = "localhost"
    daemon_ssl: _Files
    private_ssl_ca: _Authority
    harvester: _Harvester


class _Plot(_Form):
    filename: str


class _Plots(_Form):
    plots: tuple[_Plot, ...]
    failed_to_open_filenames: tuple[str, ...]
    not_found_filenames: tuple[str, ...] = ()


class _Directories(_Form):
    directories: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChiaView:
    """What chia's harvester sees.

    plots: files that it has opened. failed: files that it could not open. directories: that it searches.
    recursive: whether it also searches what is below them. interval_s: how often it looks for new files.
    """

    plots: frozenset[str]
    failed: frozenset[str]
    directories: Sequence[str]
    recursive: bool = False
    interval_s: float = _INTERVAL_S


def ask(root: str) -> ChiaView:
    """Ask the harvester whose settings are in the folder `root`. Takes a minute at most. Raises
    ChiaSilent."""
    config = _config(Path(root))
    connection = http.client.HTTPSConnection(
        config.self_hostname, config.harvester.rpc_port, timeout=_ANSWER_S, context=_context(root, config)
    )
    try:
        plots = _call(connection, "get_plots", _Plots)
        directories = _call(connection, "get_plot_directories", _Directories)
    except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
        where = f"{config.self_hostname}:{config.harvester.rpc_port}"
        raise ChiaSilent(
            f"chia's harvester does not answer at {where}: {_in_words(error)}.", _CHECK
        ) from error
    finally:
        connection.close()
    return ChiaView(
        frozenset(plot.filename for plot in plots.plots),
        frozenset((*plots.failed_to_open_filenames, *plots.not_found_filenames)),
        directories.directories,
        config.harvester.recursive_plot_scan,
        config.harvester.plots_refresh_parameter.interval_seconds,
    )


def _config(root: Path) -> _Config:
    path = root / "config" / "config.yaml"
    try:
        return _Config.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError, RecursionError) as error:
        raise ChiaSilent(f"{path} cannot be read: {_in_words(error)}.", _CHECK) from error


def _context(root: str, config: _Config) -> ssl.SSLContext:
    """As chia's own clients: certificates of the private authority of this folder; they name no host."""
    here = Path(root)
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(here / config.private_ssl_ca.crt)
        context.load_cert_chain(here / config.daemon_ssl.private_crt, here / config.daemon_ssl.private_key)
    except OSError as error:  # ssl.SSLError is one
        raise ChiaSilent(
            f"The certificates below {root} cannot be used: {_in_words(error)}.", _RIGHTS
        ) from error
    return context


def _call(connection: http.client.HTTPSConnection, question: str, form: type[M]) -> M:
    """Raises OSError, HTTPException, ValueError."""
    connection.request("POST", f"/{question}", b"{}", {"Content-Type": "application/json"})
    response = connection.getresponse()
    body = response.read(_MOST_BYTES + 1)
    if response.status != http.HTTPStatus.OK or len(body) > _MOST_BYTES:
        raise ValueError(f"{question} is answered with {response.status} and {len(body)} bytes")
    answer: Any = json.loads(body)
    if not isinstance(answer, dict) or answer.get("success") is not True:
        raise ValueError(f"{question} is refused")
    try:
        return form.model_validate(answer)
    except ValidationError as error:
        raise ValueError(f"the answer to {question} has another form") from error


def _in_words(error: Exception) -> str:
    if isinstance(error, ValidationError):
        wrong = sorted({".".join(map(str, one["loc"])) for one in error.errors(include_input=False)})
        return f"wrong or missing: {', '.join(wrong) or 'all'}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
