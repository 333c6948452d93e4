"""Searches the models: the section of a key, and similar keys."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any

from common.config.base import Section
from common.config.model import Config

Location = tuple[str | int, ...]


def section_in(annotation: Any) -> type[Section] | None:
    """The section in a field, directly or as value of a mapping; None for plain values."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin is Annotated:
        return section_in(arguments[0])
    if origin is dict:
        return section_in(arguments[1])
    if origin in (typing.Union, UnionType):
        return next(filter(None, map(section_in, arguments)), None)
    return None


def is_mapping(annotation: Any) -> bool:
    """Whether the user chooses the names of the keys."""
    return typing.get_origin(annotation) is dict


def section_at(location: Location) -> type[Section] | None:
    """The section at `location`; None if there is none."""
    section: type[Section] | None = Config
    parts = iter(location)
    for part in parts:
        if section is None or part not in section.model_fields:
            return None
        annotation = section.model_fields[str(part)].annotation
        section = section_in(annotation)
        if is_mapping(annotation):
            next(parts, None)
    return section


def all_keys(section: type[Section] = Config, above: Location = ()) -> Iterator[Location]:
    """Locations of all keys whose names are fixed."""
    for name, field in section.model_fields.items():
        yield (*above, name)
        inner = section_in(field.annotation)
        if inner and not is_mapping(field.annotation):
            yield from all_keys(inner, (*above, name))


def nearest(wrong: str, right: list[str]) -> str | None:
    """The valid name most similar to `wrong`; None if none is similar."""
    by_fold = {name.lower().replace("-", "_"): name for name in right}
    meant = wrong.lower().replace("-", "_")
    # difflib misses swapped letters in short names.
    swapped = [name for name in by_fold if sorted(name) == sorted(meant)]
    found = swapped or difflib.get_close_matches(meant, by_fold, 1, cutoff=0.7)
    return by_fold[found[0]] if found else None


def home_of(key: str) -> Location | None:
    """Location of the only key of this name; None if no section or several have it."""
    homes = [location for location in all_keys() if location[-1] == key]
    return homes[0] if len(homes) == 1 else None
