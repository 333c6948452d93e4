"""Turns pydantic's errors into messages for users. Error types: pydantic-core 2."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any

from pydantic_core import ErrorDetails, PydanticUndefined

from common.config.model import all_keys, home_of, section_at
from common.config.problems import Finding, Location
from common.config.sections.base import example_of
from common.model.address import masked

_WANTED = {
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "model_type": "a section with keys",
    "model_attributes_type": "a section with keys",
    "dict_type": "a section with keys",
    "mapping_type": "a section with keys",
}


def worded(errors: list[ErrorDetails]) -> list[Finding]:
    """Word the errors. A key that is missing because it is misspelt is reported only as misspelt."""
    messages = [_worded(error) for error in errors]
    meant = {
        (*one.location[:-1], near)
        for one, error in zip(messages, errors, strict=True)
        if error["type"] == "extra_forbidden" and (near := _near(one.location))
    }
    # pydantic also calls a list empty if all its items are wrong.
    filled = {one.location[:-1] for one in messages if one.location and isinstance(one.location[-1], int)}
    return [
        one
        for one, error in zip(messages, errors, strict=True)
        if not (error["type"] == "missing" and one.location in meant)
        and not (error["type"] == "too_short" and one.location in filled)
    ]


def _worded(error: ErrorDetails) -> Finding:
    location: Location = tuple(part for part in error["loc"] if part != "[key]")
    kind, context, value = error["type"], error.get("ctx", {}), error["input"]
    if kind == "extra_forbidden":
        return Finding(location, "unknown key", _where_else(location))
    if kind == "missing":
        return Finding(location, "is missing", _add(location))
    if kind in _WANTED:
        return Finding(
            location, f"{_shown(location, value)} is not {_WANTED[kind]}", _instead(location, kind, value)
        )
    if kind in ("greater_than_equal", "less_than_equal"):
        bound, less = (context["ge"], True) if "ge" in context else (context["le"], False)
        limit = f"{bound:g}" if bound < 100_000 else f"{bound:.0f}"
        return Finding(
            location,
            f"{_shown(location, value)} is {'less' if less else 'more'} than {limit}",
            f"Write {limit} or {'more' if less else 'less'}.",
        )
    if kind == "greater_than":
        return Finding(
            location,
            f"{_shown(location, value)} is not more than {context['gt']:g}",
            _instance(location, "Write"),
        )
    if kind == "string_too_short":
        return Finding(location, "is empty", _instance(location, "Write"))
    if kind == "too_short":
        return Finding(location, "is empty", _instance(location, "List at least one"))
    if kind == "broken_package":
        return Finding(
            (*location, "type"), error["msg"], "Repair or update that package, or write another type."
        )
    if kind == "enum":
        return _no_choice(location, value, context)
    if kind == "value_error":
        return Finding(location, str(context.get("error", error["msg"])), _instance(location, "Write"))
    return Finding(location, _decapitalised(error["msg"]), _instance(location, "Write"))


def _near(location: Location) -> str | None:
    """The nearest right spelling in the same section."""
    section = section_at(location[:-1])
    # Configurations of 0.6's preview say door_port, door_tls and door_address.
    key = str(location[-1]).replace("door_", "receiver_", 1)
    return _nearest(key, list(section.model_fields)) if section else None


def _nearest(wrong: str, right: list[str]) -> str | None:
    """The valid name most similar to `wrong`; None if none is similar."""
    by_fold = {name.lower().replace("-", "_"): name for name in right}
    meant = wrong.lower().replace("-", "_")
    # difflib misses swapped letters in short names.
    swapped = [name for name in by_fold if sorted(name) == sorted(meant)]
    found = swapped or difflib.get_close_matches(meant, by_fold, 1, cutoff=0.7)
    return by_fold[found[0]] if found else None


def _where_else(location: Location) -> str:
    key = str(location[-1])
    if near := _near(location):
        return f"Did you mean {near}?"
    section = section_at(location[:-1])
    if section and (longer := [name for name in section.model_fields if name.endswith(f"_{key}")]):
        return f"Did you mean {' or '.join(longer)}?"
    home = home_of(key)
    if home:
        place = ".".join(map(str, home[:-1])) or "the top level"
        return f"It belongs under {place}."
    far = _nearest(key, [str(found[-1]) for found in all_keys()])
    home = home_of(far) if far else None
    if home:
        return f"Did you mean {'.'.join(map(str, home))}?"
    return f"Write one of: {', '.join(section.model_fields)}." if section else "Remove it."


def _example(location: Location) -> Any:
    section = section_at(location[:-1])
    field = section.model_fields.get(str(location[-1])) if section else None
    return example_of(field) if field else PydanticUndefined


def _instance(location: Location, verb: str) -> str:
    """`VERB, for example: ...`, with the key's example, or the first item of its list."""
    example = _example(location if not isinstance(location[-1], int) else location[:-1]) if location else None
    if isinstance(location[-1] if location else None, int) and isinstance(example, list):
        example = example[0]
    if example is PydanticUndefined or example is None:
        return ""
    return f"{verb}, for example: {_yaml(example)}."


def _add(location: Location) -> str:
    example = _example(location)
    if example is PydanticUndefined:
        return "Add it (`plotman config generate` shows it)."
    return f"Add it, for example: {location[-1]}: {_yaml(example)}."


def _yaml(value: Any) -> str:
    """A value as it can be written in the file; JSON is YAML."""
    return value if isinstance(value, str) else json.dumps(value)


# Passwords, addresses with passwords, and all of `notifications`: their values are never shown.
_SECRET = (("farm", "broker"), ("farm", "flower_auth"))


def _is_secret(location: Location) -> bool:
    return location[:2] in _SECRET or location[:1] == ("notifications",)


def _shown(location: Location, value: Any) -> str:
    """The value in the file for a message: short, and never a password."""
    if _is_secret(location):
        return "the value"
    if isinstance(value, Mapping):
        return "a section"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    text = repr(masked(value)) if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _instead(location: Location, kind: str, value: Any) -> str:
    if kind in ("tuple_type", "list_type") and isinstance(value, str | int | float):
        if _is_secret(location) or value == "":
            return _instance(location, "Write") if value == "" else "Put it in brackets."
        return f"Put it in brackets: [{_shown(location, value).strip(chr(39))}]."
    if kind == "string_type" and isinstance(value, int | float):
        return "Put it in quotes."
    if kind.startswith(("model", "dict", "mapping")):
        return "Put its keys below it, indented (`plotman config generate --full` shows them)."
    return _instance(location, "Write") or "Write a value, or remove the key."


def _no_choice(location: Location, value: Any, context: Mapping[str, Any]) -> Finding:
    # pydantic writes: 'a', 'b' or 'c'
    listed = str(context.get("expected", "")).replace(" or ", ", ").replace("'", "")
    near = _nearest(str(value), listed.split(", "))
    return Finding(
        location,
        f"{_shown(location, value)} is none of {listed}{context.get('why', '')}",
        f"Did you mean {near}?" if near else "Write one of these.",
    )


def _decapitalised(text: str) -> str:
    return text[:1].lower() + text[1:]
