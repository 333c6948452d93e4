"""The sample plotman.yaml of `plotman config generate`, written from the models.

Every key has its description. Required keys have an example; the others are commented out, with their
default. A short sample has one plotter, and the optional keys that a first file may need.
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
from common.config.sections.base import example_of
from common.config.sections.plotting import Plotting
from common.errors import ConfigError

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
# Optional keys that a short sample shows beside all of its plotter's, commented out.
_OFFERED: frozenset[Location] = frozenset(
    {
        *(("farm", key) for key in ("broker", "host", "flower_auth")),
        ("directories", "tmp2"),
        *(("plotting", key) for key in ("farmer_pk", "pool_contract_address", "pool_pk")),
        *(("archiving", key) for key in ("concurrency", "routes")),
        *(("harvester", key) for key in ("plain_folders", "placement", "proofs", "chia_root")),
        ("notifications", "targets"),
    }
)
_SHORT = """\
These are the keys of a first farm: `plotman config generate --type madmax` has another plotter's,
`--full` has all.
"""
_HEAD = """\
plotman.yaml: the tasks of this machine in your farm. `plotman config check` tests it; see docs/.

A machine that only stores plots needs version, farm and harvester. A machine that only makes plots
needs no harvester. A key that is commented out shows its default, or an example if it has none.
"""


def sample(plotter: str = "chia", *, full: bool = True) -> str:
    """Write the sample as text; it is a valid file.

    Args:
        plotter: name of the plotter that it uses. full: False: a short sample.

    Raises:
        ConfigError: there is no plotter of this name.
    """
    known = [name for name, field in Plotting.model_fields.items() if section_in(field.annotation)]
    if plotter not in known:
        raise ConfigError(
            f"There is no sample for the plotter {plotter!r}.", f"Name one of: {', '.join(known)}."
        )
    head = _HEAD if full else _HEAD + _SHORT
    lines = [f"# {line}".rstrip() for line in head.splitlines()]
    for name, field in Config.model_fields.items():
        if key := list(_key(name, field, (), plotter, full)):
            lines += ["", *key]
    return "\n".join(lines) + "\n"


def _key(name: str, field: FieldInfo, above: Location, plotter: str, full: bool) -> Iterator[str]:
    """A key with its description and its inner keys; nothing if a short sample leaves it out."""
    where, indent = (*above, name), " " * (_STEP * len(above))
    inner = section_in(field.annotation)
    if inner and not is_mapping(field.annotation):
        if not full and above == ("plotting",) and name != plotter:
            return
        keys = [
            line for key, of in inner.model_fields.items() for line in _key(key, of, where, plotter, full)
        ]
        if keys:
            yield from (*_prose(field.description or "", indent), f"{indent}{name}:", *keys)
        return
    shown = field.is_required() or where in _SHOWN
    if not (full or shown or where in _OFFERED or above == ("plotting", plotter)):
        return
    yield from _prose(field.description or "", indent)
    value = plotter if where == ("plotting", "type") else _value(field, shown)
    if isinstance(value, list) and not any(isinstance(item, str) for item in value):
        text = f"{name}: {value}"
    else:
        text = yaml.dump({name: value}, Dumper=_Indented, sort_keys=False, width=_WIDTH, allow_unicode=True)
    for line in text.splitlines():
        yield f"{indent}{line}" if shown else f"{indent}#{line}"


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
