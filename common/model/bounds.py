"""Bounds of JSON that other machines wrote, checked before it is parsed: any of them may write anything.

Without these, 8 MB cost gigabytes: each `{}` becomes an object of Python, once for each field that is missing
beside it, because pydantic keeps the input of each error.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, FailFast, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, core_schema

# The longest honest text is a snapshot of 8 MB: each of its objects has 200 characters and more, each of its
# values 13 and more.
MOST_OBJECTS = 50_000
# The longest honest message is a cleanup of some 60,000 files, and its like among the answers.
MESSAGE_MOST_CHARACTERS = 16 << 20
MESSAGE_MOST_OBJECTS = 110_000
MESSAGE_MOST_VALUES = 450_000
MOST_VALUES = 650_000
T = TypeVar("T")
Several = Annotated[list[T], FailFast()]  # ends at its first error
SeveralFixed = Annotated[tuple[T, ...], FailFast()]
_ABSENT = object()
_MOST_ERRORS = 1_000


def bounded(
    text: str, most_characters: int, most_objects: int = MOST_OBJECTS, most_values: int = MOST_VALUES
) -> str:
    """Return JSON that may be parsed. Raises ValueError for what no plotman writes; says why in one line."""
    if len(text) > most_characters:
        raise ValueError(f"it is longer than {most_characters} characters")
    if len(text) <= min(most_objects, most_values):
        return text
    if text.count("{") + text.count("[") > most_objects:
        raise ValueError(f"it has more than {most_objects} objects")
    if text.count(",") > most_values:
        raise ValueError(f"it has more than {most_values} values")
    return text


def bounded_message(value: object, most_values: int = MESSAGE_MOST_VALUES) -> str:
    """Return JSON of a message's arguments, or of an answer. Raises ValueError and TypeError for others."""
    return bounded(json.dumps(value), MESSAGE_MOST_CHARACTERS, MESSAGE_MOST_OBJECTS, most_values)


class Bounded(BaseModel):
    """Base of models that are read from other machines: a missing field's error keeps no copy of the rest."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        fields: Any = handler.resolve_ref_schema(schema)
        while fields["type"] != "model-fields":
            fields = fields["schema"]
        for field in fields["fields"].values():
            if field["schema"]["type"] != "default":
                field["schema"] = core_schema.with_default_schema(
                    field["schema"], default=_ABSENT, validate_default=True
                )
        return schema


class Otherwise:
    """Annotation: a value that the rest of the type refuses counts as this one. Costs no call of Python."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_default_schema(handler(source), default=self._value, on_error="default")


def problems(error: ValidationError, most: int) -> list[tuple[str, str]]:
    """The first problems of a text: where, and what. Only one if the list would be very long."""
    if error.error_count() > _MOST_ERRORS:
        return [("", f"{error.error_count()} of its values are wrong")]
    return [
        (
            ".".join(map(str, problem["loc"])),
            "Field required" if problem["input"] is _ABSENT else problem["msg"],
        )
        for problem in error.errors(include_url=False, include_context=False)[:most]
    ]
