"""What all sections of plotman.yaml share: frozen models, no unknown keys, one spelling for each folder."""

from __future__ import annotations

import os.path
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo, model_validator


def one_spelling(path: str) -> str:
    """A folder's only spelling: `~` expanded, no trailing or doubled slashes.

    `..` is kept: behind a symbolic link it does not cancel the name before it. 0.5.3 took `/tmp/a` and
    `/tmp/a/` for two folders. Raises ValueError for an empty path.
    """
    if not path.strip():
        raise ValueError("is empty")
    clean = str(PurePosixPath(os.path.expanduser(path)))  # noqa: PTH111  Path.expanduser raises without a home
    # POSIX lets exactly two leading slashes mean something else, and pathlib keeps them. Linux does not.
    return "/" + clean.lstrip("/") if clean.startswith("//") else clean


VERSION = 2  # of plotman.yaml's format

# Key of the validation context: the folder that relative paths are below.
BELOW = "below"


def _folder(path: str, info: ValidationInfo) -> str:
    """One spelling, and absolute where the context says what it is below."""
    clean = one_spelling(path)
    below = info.context.get(BELOW) if isinstance(info.context, Mapping) else None
    return clean if below is None or clean.startswith("/") else one_spelling(f"{below}/{clean}")


Folder = Annotated[str, AfterValidator(_folder)]


class Section(BaseModel):
    """Base of all sections. Every field carries a description and an example: `plotman config generate`
    writes its sample from them.

    A key with nothing behind it (all its lines commented out, say) counts as absent.
    """

    # Inputs stay out of pydantic's messages, since a broker's URL holds a password.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_absent(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if value is not None or key not in cls.model_fields}
