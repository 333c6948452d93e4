"""The sample plotman.yaml of `plotman config generate`, written from the models.

Every key has its description. Required keys have an example; the others are commented out, with their
default.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from enum import Enum
from typing import Any

import yaml
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from common.config.model import Config, is_mapping, section_in
from common.config.problems import Location
from common.config.sections.base import Section, example_of

_WIDTH = 100
_STEP = 2


class _Indented(yaml.SafeDumper):
    """Indents the items of a list below its key."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)


# Optional keys that a first file should have, so that plotman makes and moves plots.
_SHOWN: frozenset[Location] = frozenset(
    {("directories", "dst"), ("plotting", "type"), ("archiving", "target"), ("harvester", "drives")}
)
_HEAD = """\
plotman.yaml: the tasks of this machine in your farm. `plotman config check` tests it; see docs/.

A machine that only stores plots needs version, farm and harvester. A machine that only makes plots
needs no harvester. A key that is commented out shows its default, or an example if it has none.
"""


def sample() -> str:
    """The sample as text; it is a valid file."""
    lines = [f"# {line}".rstrip() for line in _HEAD.splitlines()]
    for name, field in Config.model_fields.items():
        lines += ["", *_key(name, field, ())]
    return "\n".join(lines) + "\n"


def _key(name: str, field: FieldInfo, above: Location) -> Iterator[str]:
    """A key with its description and its inner keys."""
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
    """The value of a key in the sample: its default, or an example if it is required or has no default."""
    default = field.default
    telling = default is not PydanticUndefined and default is not None and default not in ((), {})
    value = default if telling and not shown else example_of(field)
    return value.value if isinstance(value, Enum) else value
