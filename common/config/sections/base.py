"""Base of all sections of plotman.yaml: frozen models, no unknown keys, normalized folders."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError, PydanticUndefined

from common.model.paths import one_spelling

# Times beyond a year overflow. MOST_BYTES is the limit of every number in plotman.yaml.
YEAR_M = 366 * 24 * 60
MOST_JOBS = 1_000_000
MOST_BYTES = 10**15

VERSION = 2  # of plotman.yaml's format

_LONGEST_NAME = 255  # bytes in a file name, on all file systems of Linux

# Key of the validation context: the folder to which relative paths belong.
BELOW = "below"


def _folder(path: str, info: ValidationInfo) -> str:
    """Normalize a folder; make it absolute if the context has BELOW."""
    if any(letter < " " or letter == "\x7f" for letter in path):
        raise ValueError("contains a line break or another control character")
    if any(len(part.encode("utf-8", "replace")) > _LONGEST_NAME for part in path.split("/")):
        raise ValueError(f"contains a name of more than {_LONGEST_NAME} bytes")
    clean = one_spelling(path)
    below = info.context.get(BELOW) if isinstance(info.context, Mapping) else None
    return clean if below is None or clean.startswith("/") else one_spelling(f"{below}/{clean}")


Folder = Annotated[str, AfterValidator(_folder)]


def each_once(values: tuple[str, ...]) -> tuple[str, ...]:
    """Drop repeated values."""
    return tuple(dict.fromkeys(values))


class Section(BaseModel):
    """Base of all sections. Every field has a description and an example (`example_of`), from which
    `plotman config generate` writes its sample.

    A key without a value counts as absent.
    """

    # Values stay out of pydantic's messages: the URL of a broker contains a password.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _a_number_of_its_kind(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true for a number: YAML reads `on` and `yes` as true, and pydantic takes that for 1."""
        if isinstance(value, bool) and info.field_name is not None:
            annotation = cls.model_fields[info.field_name].annotation
            kinds = set(typing.get_args(annotation)) or {annotation}
            for kind, error in ((int, "int_type"), (float, "float_type")):
                if kind in kinds and bool not in kinds:
                    raise PydanticCustomError(error, "is not a number")
        if isinstance(value, int) and abs(value) > MOST_BYTES:
            raise PydanticCustomError("less_than_equal", "is too much", {"le": MOST_BYTES})
        return value

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_absent(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if value is not None or key not in cls.model_fields}


def example_of(field: FieldInfo) -> Any:
    """The example of a key, or else its default; PydanticUndefined if it has neither."""
    if field.examples:
        return field.examples[0]
    return field.default if isinstance(field.default, str | int | float) else PydanticUndefined
