"""Parses YAML into data and the line of every key, which error messages need."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from common.config.problems import Location

# libyaml is ten times as fast; pyyaml may have been built without it.
_FAST: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


# More than any plotman.yaml needs. A few lines of aliases can expand to billions of values.
MOST_BYTES = 1 << 20
_MOST_VALUES = 20_000
_DEEPEST = 20
_LONGEST_NUMBER = 30

_TEXT, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"
_TIME = "tag:yaml.org,2002:timestamp"
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


@dataclass(frozen=True)
class Flaw:
    """A mistake in the text itself. line: counted from 1."""

    what: str
    cure: str
    line: int | None
    location: Location = ()


@dataclass(frozen=True)
class Document:
    """A parsed text. data: None if it has none. lines: of each key and list item."""

    data: Any
    lines: Mapping[Location, int] = field(default_factory=dict)
    flaws: tuple[Flaw, ...] = ()

    def line(self, location: Location) -> int | None:
        """Line of the key at `location`, or of the nearest enclosing key in the text."""
        for end in range(len(location), 0, -1):
            if location[:end] in self.lines:
                return self.lines[location[:end]]
        return None


def parse(raw: bytes) -> Document:
    """Parse YAML. Never raises: an unreadable text gives a flaw, and data None."""
    if len(raw) > MOST_BYTES:
        what = f"has more than {MOST_BYTES >> 20} MiB, which is no plotman.yaml"
        return Document(None, flaws=(Flaw(what, "Name the right file.", None),))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return Document(None, flaws=(Flaw("contains bytes that are not UTF-8", "Save it as UTF-8.", line),))
    try:
        return _loaded(text, _FAST)
    except RecursionError:
        return Document(None, flaws=(_TOO_DEEP,))
    except yaml.YAMLError:
        pass
    try:  # for pyyaml's error message: `_syntax` knows no others
        return _loaded(text, yaml.SafeLoader)
    except RecursionError:
        return Document(None, flaws=(_TOO_DEEP,))
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
        try:
            walk.visit(root, ())
            data = loader.construct_document(root)
        except _TooMuch as error:
            return Document(None, flaws=(error.flaw,))
        except (ValueError, LookupError):  # `!!int abc`
            return Document(None, flaws=(_misfit(loader, walk.scalars),))
        return Document(data, walk.lines, tuple(walk.flaws))
    finally:
        loader.dispose()


def _misfit(loader: yaml.SafeLoader | yaml.CSafeLoader, scalars: list[yaml.ScalarNode]) -> Flaw:
    """The first value that does not fit its tag."""
    cure = "Remove the tag (!! and its word)."
    for node in scalars:
        try:
            loader.construct_object(node)
        except (ValueError, LookupError, yaml.YAMLError):  # pyyaml takes the second attempt for a loop
            return Flaw("a value does not fit its tag (!!)", cure, node.start_mark.line + 1)
    return Flaw("a value does not fit its tag (!!)", cure, None)


class _TooMuch(Exception):
    """The text expands to more than a configuration may have."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw.what)
        self.flaw = flaw


_TOO_DEEP = Flaw(f"is nested more than {_DEEPEST} deep", "Name the right file.", None)


class _Walk:
    """Collects the line of every key and item, and repeated keys, of which YAML would use the last.

    Makes keys, times and overlong numbers text before YAML converts them.
    """

    def __init__(self) -> None:
        self.lines: dict[Location, int] = {}
        self.flaws: list[Flaw] = []
        self.scalars: list[yaml.ScalarNode] = []
        self._values = 0
        self._above: set[int] = set()  # an alias may be inside its own anchor

    def visit(self, node: yaml.Node, location: Location) -> None:
        if id(node) in self._above:
            return
        self._count(node, len(location))
        self._above.add(id(node))
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                self._pair(key, value, location)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.lines[(*location, index)] = item.start_mark.line + 1
                self.visit(item, (*location, index))
        elif isinstance(node, yaml.ScalarNode):
            self._scalar(node, location)
        self._above.discard(id(node))

    def _count(self, node: yaml.Node, depth: int) -> None:
        self._values += 1
        line = node.start_mark.line + 1
        if depth > _DEEPEST:
            raise _TooMuch(Flaw(_TOO_DEEP.what, _TOO_DEEP.cure, line))
        if self._values > _MOST_VALUES:
            what = f"expands to more than {_MOST_VALUES} values"
            raise _TooMuch(Flaw(what, "Name the right file, or leave out aliases (*).", line))

    def _scalar(self, node: yaml.ScalarNode, location: Location) -> None:
        self.scalars.append(node)
        self._unwritable(node, location)
        # YAML 1.1 reads 1:30 as 90. Python refuses numbers of some thousand digits.
        odd = ":" in node.value or len(node.value) > _LONGEST_NUMBER
        if node.tag == _TIME or (node.tag in _NUMBERS and odd):
            node.tag = _TEXT

    def _unwritable(self, node: yaml.ScalarNode, location: Location) -> None:
        """Find characters that are in no file name and that not every library accepts."""
        if "\0" in node.value or any("\ud800" <= letter <= "\udfff" for letter in node.value):
            what, cure = "contains an invalid character (\\0 or half of a surrogate pair)", "Remove it."
            self.flaws.append(Flaw(what, cure, node.start_mark.line + 1, location))

    def _pair(self, key: yaml.Node, value: yaml.Node, location: Location) -> None:
        if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
            return
        key.tag = _TEXT  # `on` and `1` would be a boolean and a number
        here = (*location, str(key.value))
        line = key.start_mark.line + 1
        self._unwritable(key, here)
        if here in self.lines:
            self.flaws.append(
                Flaw(f"is given twice, first on line {self.lines[here]}", "Keep one of the two.", line, here)
            )
        self.lines[here] = line
        self.visit(value, here)


def _syntax(error: yaml.YAMLError, text: str) -> Flaw:
    """The error of pyyaml as one sentence with its line; it repeats nothing of the text."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = str(
        getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read as YAML"
    )
    # pyyaml notices these long after the key or the quote begins.
    if problem in ("could not find expected ':'", "found unexpected end of stream"):
        mark = getattr(error, "context_mark", None) or mark
    line = mark.line + 1 if mark else None
    if line is None and isinstance(position := getattr(error, "position", None), int):
        line = text.count("\n", 0, position) + 1
    lines = text.splitlines()
    # pyyaml often reports a misplaced tab on the next line.
    for number in (line, line - 1 if line else None):
        written = lines[number - 1].split("#")[0] if number and number <= len(lines) else ""
        if "\t" in written:
            return Flaw("a tab; YAML is indented with spaces", "Replace it by spaces.", number)
        if "\xa0" in written:
            return Flaw("a no-break space; YAML is indented with spaces", "Replace it by spaces.", number)
        if problem == "mapping values are not allowed here" and re.match(r"\s*[\w-]+(:[^\s/]|\s*=)", written):
            return Flaw("a key without a colon and a space", "Put a colon and a space after the key.", number)
    cure = {
        "mapping values are not allowed here": "Look for an extra colon, or a line indented too far.",
        "could not find expected ':'": "Put a colon and a space after the key.",
        "expected <block end>, but found '<block mapping start>'": "Indent the keys of a section alike.",
        "expected <block end>, but found '?'": "Indent the keys of a section alike.",
        "sequence entries are not allowed here": "Put the items on lines of their own, below the key.",
        "expected ',' or ']', but got ':'": "Close the bracket in the line before.",
        "expected <block end>, but found '-'": "Indent the items of a list alike.",
        "found unexpected end of stream": "Close the quote.",
    }.get(problem, "Correct it; quote text that contains any of : # { } [ ] , & * ! | > ' \" % @ `.")
    return Flaw(f"not YAML: {problem}", cure, line)
