"""The commented plotman.yaml of `plotman config generate`, written from the models: every key with its
description; those that need an answer with an example, the others commented out with their default."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from enum import Enum
from typing import Any

import yaml
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from common.config.base import Section
from common.config.model import Config
from common.config.schema import Location, is_mapping, section_in

_WIDTH = 100
_STEP = 2


class _Indented(yaml.SafeDumper):
    """Indents the items of a list below its key, as people write it."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)


# Optional keys that a first file should have, so that plots are made and moved as soon as it is filled in.
_SHOWN: frozenset[Location] = frozenset(
    {("directories", "dst"), ("plotting", "type"), ("archiving", "target"), ("harvester", "drives")}
)
_HEAD = """\
plotman.yaml: what this machine is in your farm. See docs/ for more, and try `plotman config check`.

A machine that only holds plots needs version, farm and harvester; one that only makes them needs no
harvester. Keys that are commented out stand at their default, or show an example where they have none.
"""


def sample() -> str:
    """The sample as text; it loads as it is."""
    lines = [f"# {line}".rstrip() for line in _HEAD.splitlines()]
    for name, field in Config.model_fields.items():
        lines += ["", *_key(name, field, ())]
    return "\n".join(lines) + "\n"


def _key(name: str, field: FieldInfo, above: Location) -> Iterator[str]:
    """A key with its description above it, and what is below it."""
    indent = " " * (_STEP * len(above))
    yield from _prose(field.description or "", indent)
    inner = section_in(field.annotation)
    if inner and not is_mapping(field.annotation):
        yield f"{indent}{name}:"
        yield from _section(inner, (*above, name))
        return
    shown = field.is_required() or (*above, name) in _SHOWN
    value = _value(field, shown)
    if isinstance(value, list) and not any(isinstance(item, str) for item in value):
        text = f"{name}: {value}"
    else:
        text = yaml.dump({name: value}, Dumper=_Indented, sort_keys=False, width=_WIDTH, allow_unicode=True)
    for line in text.splitlines():
        yield f"{indent}{line}" if shown else f"{indent}#{line}"


def _section(section: type[Section], above: Location) -> Iterator[str]:
    for name, field in section.model_fields.items():
        yield from _key(name, field, above)


def _prose(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ", break_on_hyphens=False
    )


def _value(field: FieldInfo, shown: bool) -> Any:
    """What to write behind a key: its default; its example where it has none or must be answered."""
    default = field.default
    telling = default is not PydanticUndefined and default is not None and default not in ((), {})
    value = default if telling and not shown else (field.examples or [None])[0]
    return value.value if isinstance(value, Enum) else value
