"""Ticket: what a plotter needs to send one plot to one harvester's receiver."""

from __future__ import annotations

import json
import re
import ssl
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from common.errors import TicketRefused
from common.model.address import FIRST_USER_PORT, LAST_PORT, host_or_ip
from common.model.bounds import bounded
from common.model.messages import OneLine, wrong_fields
from common.model.text import one_line

_LONGEST = 1 << 16  # characters of a ticket
_LONGEST_CERTIFICATE = 8192
_LONGEST_FAILURE = 1000
# secrets.token_urlsafe(32), which the harvester makes them with.
_PASSWORD = re.compile(r"[A-Za-z0-9_-]{43}")
_CERTIFICATE = re.compile(
    r"-----BEGIN CERTIFICATE-----\n(?:[A-Za-z0-9+/]{1,64}={0,2}\n)+-----END CERTIFICATE-----\n"
)


def _password(secret: SecretStr) -> SecretStr:
    if not _PASSWORD.fullmatch(secret.get_secret_value()):
        raise ValueError("is not a password made by a harvester")
    return secret


def _certificate(text: str) -> str:
    """One certificate, read by the library that will use it."""
    if len(text) > _LONGEST_CERTIFICATE or not _CERTIFICATE.fullmatch(text):
        raise ValueError("is not one certificate as PEM")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=text)
    except ssl.SSLError as error:
        raise ValueError("is not a certificate") from error
    der = ssl.PEM_cert_to_DER_cert(text)
    if _der_length(der) != len(der):  # OpenSSL ignores what follows
        raise ValueError("is more than a certificate")
    return text


def _der_length(der: bytes) -> int:
    """Length of the first element of DER, its header included, in bytes (X.690 8.1.3)."""
    if der[1] < 0x80:
        return 2 + der[1]
    size = der[1] & 0x7F
    return 2 + size + int.from_bytes(der[2 : 2 + size])


class Ticket(BaseModel):
    """Access to one receiver. rsync writes to rsync://module@address:port/module/PLOT_ID.part.

    The plotter acts on it and cannot know who wrote it: each field is bounded, and unknown ones are refused.

    plot_id: of the plot to send.
    module: also the name of the user.
    password: of this receiver only; pydantic masks it in repr and JSON.
    certificate: PEM, of a receiver that takes TLS only. None: it takes no TLS.
    failure: why the harvester ended the transfer; None while it did not.
    """

    # A value that is refused must not be quoted in an error: it may be the password.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    plot_id: str = Field(pattern="^[0-9a-f]{64}$")
    address: Annotated[str, AfterValidator(host_or_ip)]
    port: int = Field(ge=FIRST_USER_PORT, le=LAST_PORT)
    module: str = Field(pattern="^[0-9a-f]{16}$")
    password: Annotated[SecretStr, AfterValidator(_password)] = Field(repr=False)
    certificate: Annotated[str, AfterValidator(_certificate)] | None = None
    failure: Annotated[OneLine, Field(max_length=_LONGEST_FAILURE)] | None = None

    @classmethod
    def read(cls, text: str, plot_id: str) -> Self:
        """Read the ticket for `plot_id` from its JSON. Raises TicketRefused, which names the wrong fields but
        no value."""
        try:
            found = cls.model_validate_json(bounded(text, _LONGEST))
        except ValidationError as error:
            wrong = wrong_fields(error, cls)
        except ValueError as error:
            wrong = str(error)
        else:
            if found.plot_id == plot_id:
                return found
            wrong = "plot_id"
        # Raised outside of `except`: a cause would contain the values.
        raise TicketRefused(
            f"The ticket is not one that a harvester writes ({wrong}).",
            "Check that both machines run the same plotman, and who else may write to the farm's Redis.",
        )

    def ended(self, reason: str) -> Self:
        """The same ticket, with the reason why the harvester ended the transfer."""
        return self.model_copy(update={"failure": one_line(reason, _LONGEST_FAILURE)})

    def written(self) -> str:
        """JSON with the password; for the notice board only."""
        content = self.model_dump(mode="json") | {"password": self.password.get_secret_value()}
        return json.dumps(content)
