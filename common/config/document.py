"""A YAML text as data, together with the line of every key: what pydantic forgets and people need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

Location = tuple[str | int, ...]

# libyaml reads ten times as fast; pyyaml may have been built without it.
_FAST: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Flaw:
    """Something wrong with the text itself. line: counted from 1."""

    what: str
    cure: str
    line: int | None
    location: Location = ()


@dataclass(frozen=True)
class Document:
    """data: as YAML says; None where the text has none. lines: line of each key and list item."""

    data: Any
    lines: Mapping[Location, int] = field(default_factory=dict)
    flaws: tuple[Flaw, ...] = ()

    def line(self, location: Location) -> int | None:
        """Line of the key at `location`, or of the nearest one around it that the text has."""
        for end in range(len(location), 0, -1):
            if location[:end] in self.lines:
                return self.lines[location[:end]]
        return None


def parse(raw: bytes) -> Document:
    """Read YAML. Never raises: what cannot be read becomes a flaw, with data None."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return Document(None, flaws=(Flaw("holds bytes that are not UTF-8", "Save it as UTF-8.", line),))
    try:
        return _loaded(text, _FAST)
    except yaml.YAMLError:
        pass
    try:  # libyaml words its complaints otherwise: what people read is pyyaml's
        return _loaded(text, yaml.SafeLoader)
    except yaml.YAMLError as error:
        return Document(None, flaws=(_syntax(error, text),))


def _loaded(text: str, kind: type[yaml.SafeLoader | yaml.CSafeLoader]) -> Document:
    """Raises yaml.YAMLError."""
    loader = kind(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return Document(None)
        walk = _Walk()
        walk.visit(root, ())
        return Document(loader.construct_document(root), walk.lines, tuple(walk.flaws))
    finally:
        loader.dispose()


class _Walk:
    """Notes the line of every key and item, and keys that are given twice (YAML lets the last one win)."""

    def __init__(self) -> None:
        self.lines: dict[Location, int] = {}
        self.flaws: list[Flaw] = []
        self._above: set[int] = set()  # an alias may stand inside its own anchor

    def visit(self, node: yaml.Node, location: Location) -> None:
        if id(node) in self._above:
            return
        self._above.add(id(node))
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                self._pair(key, value, location)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.lines[(*location, index)] = item.start_mark.line + 1
                self.visit(item, (*location, index))
        self._above.discard(id(node))

    def _pair(self, key: yaml.Node, value: yaml.Node, location: Location) -> None:
        if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
            return
        here = (*location, str(key.value))
        line = key.start_mark.line + 1
        if here in self.lines:
            self.flaws.append(
                Flaw(f"is given twice, first in line {self.lines[here]}", "Keep one of the two.", line, here)
            )
        self.lines[here] = line
        self.visit(value, here)


def _syntax(error: yaml.YAMLError, text: str) -> Flaw:
    """pyyaml's complaint as one sentence with its line. Of the text itself nothing is repeated."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = str(
        getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read as YAML"
    )
    if problem == "could not find expected ':'":  # noticed a line later than the key begins
        mark = getattr(error, "context_mark", None) or mark
    line = mark.line + 1 if mark else None
    if line is None and isinstance(position := getattr(error, "position", None), int):
        line = text.count("\n", 0, position) + 1
    lines = text.splitlines()
    # The scanner finds a tab only where it may not stand; it often says so of the line after.
    for number in (line, line - 1 if line else None):
        if number and number <= len(lines) and "\t" in lines[number - 1].split("#")[0]:
            return Flaw("a tab; YAML is indented with spaces", "Replace it by spaces.", number)
    cure = {
        "mapping values are not allowed here": "Look for a colon too many, or a line indented too far.",
        "could not find expected ':'": "Put a colon, and a space after it, behind the key.",
        "expected <block end>, but found '<block mapping start>'": "Indent the keys of a section alike.",
        "expected <block end>, but found '-'": "Indent the items of a list alike.",
        "found unexpected end of stream": "Close the quote.",
    }.get(problem, "Correct it; quote text that holds any of : # { } [ ] , & * ! | > ' \" % @ `.")
    return Flaw(f"not YAML: {problem}", cure, line)
