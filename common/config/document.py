"""A YAML text as data, together with the line of every key: what pydantic forgets and people need."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

Location = tuple[str | int, ...]

# libyaml reads ten times as fast; pyyaml may have been built without it.
_FAST: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


# More than any plotman.yaml has. A few lines of aliases can stand for billions of values.
MOST_BYTES = 1 << 20
_MOST_VALUES = 20_000
_DEEPEST = 20
_LONGEST_NUMBER = 30

_TEXT, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"
_TIME = "tag:yaml.org,2002:timestamp"
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


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
    if len(raw) > MOST_BYTES:
        what = f"has more than {MOST_BYTES >> 20} MiB, and is no plotman.yaml"
        return Document(None, flaws=(Flaw(what, "Name the right file.", None),))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return Document(None, flaws=(Flaw("holds bytes that are not UTF-8", "Save it as UTF-8.", line),))
    try:
        return _loaded(text, _FAST)
    except RecursionError:
        return Document(None, flaws=(_TOO_DEEP,))
    except yaml.YAMLError:
        pass
    try:  # libyaml words its complaints otherwise: what people read is pyyaml's
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
        except (ValueError, LookupError):  # `!!int abc`: pyyaml calls int and looks words up
            return Document(None, flaws=(_misfit(loader, walk.scalars),))
        return Document(data, walk.lines, tuple(walk.flaws))
    finally:
        loader.dispose()


def _misfit(loader: yaml.SafeLoader | yaml.CSafeLoader, scalars: list[yaml.ScalarNode]) -> Flaw:
    """The first value that is not of the kind that its tag names."""
    cure = "Remove the !! and the word behind it."
    for node in scalars:
        try:
            loader.construct_object(node)
        except (ValueError, LookupError, yaml.YAMLError):  # pyyaml takes the second try for a loop
            return Flaw("a value is not what its tag (!!) says", cure, node.start_mark.line + 1)
    return Flaw("a value is not what its tag (!!) says", cure, None)


class _TooMuch(Exception):
    """The text stands for more than a configuration holds."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw.what)
        self.flaw = flaw


_TOO_DEEP = Flaw(f"is nested more than {_DEEPEST} deep", "Name the right file.", None)


class _Walk:
    """Notes the line of every key and item, and keys that are given twice (YAML lets the last one win).

    Before they are read: keys are text, whatever they look like, and so are times and overlong numbers.
    """

    def __init__(self) -> None:
        self.lines: dict[Location, int] = {}
        self.flaws: list[Flaw] = []
        self.scalars: list[yaml.ScalarNode] = []
        self._values = 0
        self._above: set[int] = set()  # an alias may stand inside its own anchor

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
            what = f"stands for more than {_MOST_VALUES} values"
            raise _TooMuch(Flaw(what, "Name the right file, or leave out aliases (*).", line))

    def _scalar(self, node: yaml.ScalarNode, location: Location) -> None:
        self.scalars.append(node)
        self._unwritable(node, location)
        # YAML 1.1 reads 1:30 as 90. Python refuses to read or to write numbers of some thousand digits.
        odd = ":" in node.value or len(node.value) > _LONGEST_NUMBER
        if node.tag == _TIME or (node.tag in _NUMBERS and odd):
            node.tag = _TEXT

    def _unwritable(self, node: yaml.ScalarNode, location: Location) -> None:
        """No file and no program is named so, and not every library takes it for text."""
        if "\0" in node.value or any("\ud800" <= letter <= "\udfff" for letter in node.value):
            what, cure = "holds a character that no text has (\\0 or half of another)", "Remove it."
            self.flaws.append(Flaw(what, cure, node.start_mark.line + 1, location))

    def _pair(self, key: yaml.Node, value: yaml.Node, location: Location) -> None:
        if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
            return
        key.tag = _TEXT  # else `on` and `1` were keys that are no text
        here = (*location, str(key.value))
        line = key.start_mark.line + 1
        self._unwritable(key, here)
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
    # Noticed long after the key or the quote begins.
    if problem in ("could not find expected ':'", "found unexpected end of stream"):
        mark = getattr(error, "context_mark", None) or mark
    line = mark.line + 1 if mark else None
    if line is None and isinstance(position := getattr(error, "position", None), int):
        line = text.count("\n", 0, position) + 1
    lines = text.splitlines()
    # The scanner finds a tab only where it may not stand; it often says so of the line after.
    for number in (line, line - 1 if line else None):
        written = lines[number - 1].split("#")[0] if number and number <= len(lines) else ""
        if "\t" in written:
            return Flaw("a tab; YAML is indented with spaces", "Replace it by spaces.", number)
        if "\xa0" in written:
            return Flaw("a no-break space; YAML is indented with spaces", "Replace it by spaces.", number)
        if problem == "mapping values are not allowed here" and re.match(r"\s*[\w-]+(:[^\s/]|\s*=)", written):
            return Flaw("a key without a colon and a space", "Put a colon, and a space after it.", number)
    cure = {
        "mapping values are not allowed here": "Look for a colon too many, or a line indented too far.",
        "could not find expected ':'": "Put a colon, and a space after it, behind the key.",
        "expected <block end>, but found '<block mapping start>'": "Indent the keys of a section alike.",
        "expected <block end>, but found '?'": "Indent the keys of a section alike.",
        "sequence entries are not allowed here": "Put the items on lines of their own, below the key.",
        "expected ',' or ']', but got ':'": "Close the bracket in the line before.",
        "expected <block end>, but found '-'": "Indent the items of a list alike.",
        "found unexpected end of stream": "Close the quote.",
    }.get(problem, "Correct it; quote text that holds any of : # { } [ ] , & * ! | > ' \" % @ `.")
    return Flaw(f"not YAML: {problem}", cure, line)
