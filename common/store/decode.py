"""Reads notices from JSON."""

from __future__ import annotations

import logging
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from common.model.snapshot import Notice

log = logging.getLogger(__name__)

N = TypeVar("N", bound=Notice)


def read(kind: type[N], text: str | None) -> N | None:
    """Read a notice. An unreadable one is logged and left out (None), so that it does not stop the farm."""
    if text is None:
        return None
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        log.warning("unreadable %s on the notice board: %s", kind.__name__, error)
        return None


def read_all(kind: TypeAdapter[tuple[N, ...]], text: str) -> tuple[N, ...]:
    """Read several notices from one text; () if it is unreadable."""
    try:
        return kind.validate_json(text)
    except ValidationError as error:
        log.warning("unreadable notices on the board: %s", error)
        return ()
