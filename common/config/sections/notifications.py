"""`notifications`: which events of the farm are sent where."""

from __future__ import annotations

import difflib
import re
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from common.config.sections.base import YEAR_M, Section
from common.model import notification_kinds, windows


def _address(secret: SecretStr) -> SecretStr:
    # No part of it in the message: such addresses contain tokens.
    if not re.match(r"[A-Za-z][\w+.-]*://\S", secret.get_secret_value()):
        raise ValueError("is not an address of the form scheme://...")
    return secret


def _known(words: tuple[str, ...]) -> tuple[str, ...]:
    for word in words:
        try:
            notification_kinds.names((word,))
        except KeyError:
            kinds = notification_kinds
            every = [*kinds.KINDS, *kinds.GROUPS, kinds.ACTION, kinds.ALL]
            near = difflib.get_close_matches(word, every, 1)
            hint = f", did you mean {near[0]}" if near else ""
            raise ValueError(f"{word!r} is not an event{hint} (`plotman notify list` shows them)") from None
    return words


class NotificationTarget(Section):
    """A receiver of notifications: either `url` or `command`."""

    url: Annotated[SecretStr, AfterValidator(_address)] | None = Field(
        None,
        description="Address in Apprise's form: ntfy, mail, Discord, Telegram and many more.",
        examples=["ntfy://ntfy.sh/my-farm"],
    )
    command: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="Instead of url: your own program with its arguments. It runs once for each event, with "
        "the event as JSON on its standard input.",
        examples=[["/home/chia/bin/on-event"]],
    )
    timeout_s: float = Field(30, gt=0, le=600, description="How long sending may take, in seconds.")
    events: Annotated[tuple[str, ...], AfterValidator(_known)] = Field(
        (notification_kinds.ACTION,),
        min_length=1,
        description="Events to send: names and groups of `plotman notify list`. action: all that need "
        "action; all: every event.",
        examples=[["action", "plot-done"]],
    )
    quiet_hours: Annotated[str, AfterValidator(windows.checked)] | None = Field(
        None,
        description="When nothing is sent, in this machine's local time, written as scheduling.windows. One "
        "summary follows.",
        examples=["22:00-07:00"],
    )
    critical_always: bool = Field(False, description="Send critical events in quiet hours, too.")
    at_most: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="Largest number of messages per hour, half of them for events that you may have to act "
        "on; one summary contains the rest. Absent: 20 for a url, no limit for a command.",
        examples=[20],
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.url is None) == (self.command is None):
            raise ValueError("a target needs either url or command")
        return self


class Notifications(Section):
    """Notifications about the whole farm. Set them where the scheduler runs."""

    targets: Annotated[dict[str, NotificationTarget], BeforeValidator(lambda value: value or {})] = Field(
        {},
        description="Receivers, each with a name of your choice. Absent: none.",
        examples=[{"phone": {"url": "ntfy://ntfy.sh/my-farm", "quiet_hours": "22:00-07:00"}}],
    )
    idle_m: float = Field(
        60,
        gt=0,
        le=YEAR_M,
        allow_inf_nan=False,
        description="Minutes without a running plot after which the farm counts as idle.",
    )
