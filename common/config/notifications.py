"""`notifications`: who is told what happens in the farm, and how."""

from __future__ import annotations

import difflib
import re
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from common.config.base import YEAR_M, Section
from common.model import notification_kinds, windows


def _address(secret: SecretStr) -> SecretStr:
    # No part of it in the message: such addresses hold tokens.
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
            raise ValueError(f"{word!r} is no event{hint} (`plotman notify list` shows them)") from None
    return words


class NotificationTarget(Section):
    """One way to tell people: either `url` or `command`."""

    url: Annotated[SecretStr, AfterValidator(_address)] | None = Field(
        None,
        description="Where to, as Apprise writes it: ntfy, mail, Discord, Telegram and many more.",
        examples=["ntfy://ntfy.sh/my-farm"],
    )
    command: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="In place of url: a program of yours with its arguments, run once for each event, which "
        "it gets as JSON on its standard input.",
        examples=[["/home/chia/bin/on-event"]],
    )
    timeout_s: float = Field(
        30, gt=0, le=600, description="How long telling may take, in seconds.", examples=[30]
    )
    events: Annotated[tuple[str, ...], AfterValidator(_known)] = Field(
        (notification_kinds.ACTION,),
        min_length=1,
        description="What is told: names and groups of `plotman notify list`; action is what somebody must "
        "act on, all is everything.",
        examples=[["action", "plot-done"]],
    )
    quiet_hours: Annotated[str, AfterValidator(windows.checked)] | None = Field(
        None,
        description="When nothing is told, in this machine's time, as scheduling.windows are written; "
        "afterwards comes one summary.",
        examples=["22:00-07:00"],
    )
    critical_always: bool = Field(
        False, description="Tell what cannot wait in quiet hours, too.", examples=[False]
    )
    at_most: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="Most messages an hour; what is more comes in one summary. Absent: 20 for a url, no "
        "limit for a command.",
        examples=[20],
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.url is None) == (self.command is None):
            raise ValueError("a target needs either url or command")
        return self


class Notifications(Section):
    """Who is told what happens in the whole farm. Set it where the scheduler runs."""

    targets: Annotated[dict[str, NotificationTarget], BeforeValidator(lambda value: value or {})] = Field(
        {},
        description="Whom to tell, each under a name of your choice. Absent: nobody.",
        examples=[{"phone": {"url": "ntfy://ntfy.sh/my-farm", "quiet_hours": "22:00-07:00"}}],
    )
    idle_m: float = Field(
        60,
        gt=0,
        le=YEAR_M,
        allow_inf_nan=False,
        description="Minutes without any plot in the making after which the farm counts as idle.",
        examples=[60],
    )
