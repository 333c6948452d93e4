"""What lets one plotter through one harvester's door, to fill one part file."""

from __future__ import annotations

import json

from pydantic import ConfigDict, Field, SecretStr

from common.snapshot import Notice


class Ticket(Notice):
    """plot_id: whose part this is for; rsync writes to rsync://module@address:port/module/PLOT_ID.part.

    module: also the user's name. password: of this door alone; pydantic masks it in repr and JSON.
    certificate: PEM; the door takes TLS only, and has this very certificate. None: it takes no TLS.
    failure: why the harvester has ended the transfer, for the plotter to tell; None while all is well.
    """

    # A notice that cannot be read is quoted in the log; this one must not be.
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    plot_id: str
    address: str
    port: int
    module: str
    password: SecretStr = Field(repr=False)
    certificate: str | None = None
    failure: str | None = None

    def written(self) -> str:
        """JSON with the password, for the notice board and nothing else."""
        content = self.model_dump(mode="json") | {"password": self.password.get_secret_value()}
        return json.dumps(content)
