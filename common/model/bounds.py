"""Bounds of JSON that other machines wrote, checked before it is parsed: any of them may write anything.

Without these, 8 MB cost gigabytes: each `{}` becomes an object of Python, once for each field that is missing
beside it, because pydantic keeps the input of each error.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, core_schema

# The longest honest text is a snapshot of 8 MB: each of its objects has 200 characters and more, each of its
# values 13 and more.
MOST_OBJECTS = 50_000
MOST_VALUES = 650_000
_ABSENT = object()
_MOST_ERRORS = 1_000


def bounded(text: str, most_characters: int) -> str:
    """Return JSON that may be parsed. Raises ValueError for what no plotman writes; says why in one line."""
    if len(text) > most_characters:
        raise ValueError(f"it is longer than {most_characters} characters")
    if text.count("{") + text.count("[") > MOST_OBJECTS:
        raise ValueError(f"it has more than {MOST_OBJECTS} objects")
    if text.count(",") > MOST_VALUES:
        raise ValueError(f"it has more than {MOST_VALUES} values")
    return text


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
