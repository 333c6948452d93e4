"""Address of this machine's broker: the one in plotman.yaml, or the embedded one of `plotman up`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, ValidationError

from common.errors import BrokerError
from common.system.statefile import Stored

if TYPE_CHECKING:
    from common.config.model import Config
    from common.config.sections.farm import Farm


class EmbeddedBroker(Stored):
    """Address of the broker that `plotman up` starts, kept in `broker.json` so that it stays the same after a
    restart."""

    port: int = Field(ge=1, le=65535)  # on 127.0.0.1
    password: str = Field(min_length=1, repr=False)

    @property
    def url(self) -> str:
        """`redis://:PASSWORD@127.0.0.1:PORT/0`."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"


def broker_dir(state_dir: Path) -> Path:
    """Folder of the embedded broker: address, configuration and data."""
    return state_dir / "broker"


def address_file(state_dir: Path) -> Path:
    """File with the embedded broker's port and password; only its owner may read it."""
    return broker_dir(state_dir) / "broker.json"


def embedded_broker(state_dir: Path) -> EmbeddedBroker | None:
    """Read the address of the embedded broker; None if `plotman up` has never run. Raises BrokerError if the
    file cannot be read or has another content."""
    path = address_file(state_dir)
    try:
        return EmbeddedBroker.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BrokerError(
            f"The broker's address in {path} cannot be read: {error.strerror}.",
            "Run this as the user who runs `plotman up`.",
        ) from error
    except ValidationError as error:
        raise BrokerError(
            f"{path} does not contain a broker's address.",
            "Delete it and restart `plotman up`, which writes a new one.",
        ) from error


def broker_url(config: Config | Farm) -> str:
    """URL of this machine's broker, with its password: not for logs. Does not connect.

    Args:
        config: plotman.yaml, or its section `farm`.

    Raises:
        BrokerError: plotman.yaml names no broker, and none was ever started here.
    """
    if config.broker_url is not None:
        return config.broker_url
    embedded = embedded_broker(config.state_dir)
    if embedded is None:
        raise BrokerError(
            f"No broker is running here: plotman.yaml names none (farm: broker), and {config.state_dir} "
            "contains none.",
            "Start `plotman up`, or name the farm's broker.",
        )
    return embedded.url
