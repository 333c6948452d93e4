"""Reads the options of somebody else's command line. What is not known is passed over, never an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Grammar:
    """How a program spells its options.

    values: options that take a value -> name under which it is kept, e.g. {"-k": "k", "--size": "k"}.
    flags: options that take none -> name.
    clusters: whether `-exk32` is `-e -x -k 32` (click, argparse, cxxopts); bladebit instead takes each word
        as it stands, so that its `-t1` is an option of its own.
    abbreviations: whether `--tmp` stands for `--tmp_dir` (argparse).
    """

    values: Mapping[str, str]
    flags: Mapping[str, str] = field(default_factory=dict)
    clusters: bool = True
    abbreviations: bool = False


@dataclass
class Options:
    """What was found: for each name the last value given, flags, and the words that are no option."""

    values: dict[str, str] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)
    words: list[str] = field(default_factory=list)

    def text(self, name: str) -> str | None:
        return self.values.get(name)

    def number(self, name: str) -> int | None:
        """The value as a number; None if it is absent or is none."""
        try:
            return int(self.values[name])
        except (KeyError, ValueError):
            return None


def parse(arguments: Sequence[str], grammar: Grammar) -> Options:
    """Options and words of `arguments` (without the program's name)."""
    found = Options()
    rest = list(reversed(arguments))
    while rest:
        argument = rest.pop()
        if argument == "--":
            found.words += reversed(rest)
            break
        if argument.startswith("--"):
            _long(argument, rest, grammar, found)
        elif argument.startswith("-") and len(argument) > 1:
            _short(argument, rest, grammar, found)
        else:
            found.words.append(argument)
    return found


def _long(argument: str, rest: list[str], grammar: Grammar, found: Options) -> None:
    option, equals, value = argument.partition("=")
    option = _full_name(option, grammar)
    if option in grammar.flags:
        found.flags.add(grammar.flags[option])
    elif option in grammar.values:
        if not equals:
            value = rest.pop() if rest else ""
        found.values[grammar.values[option]] = value


def _full_name(option: str, grammar: Grammar) -> str:
    known = {**grammar.values, **grammar.flags}
    if option in known or not grammar.abbreviations:
        return option
    meant = [name for name in known if name.startswith(option)]
    return meant[0] if len({known[name] for name in meant}) == 1 else option


def _short(argument: str, rest: list[str], grammar: Grammar, found: Options) -> None:
    if argument in grammar.values:
        found.values[grammar.values[argument]] = rest.pop() if rest else ""
    elif argument in grammar.flags:
        found.flags.add(grammar.flags[argument])
    elif grammar.clusters:
        _cluster(argument[1:], rest, grammar, found)


def _cluster(letters: str, rest: list[str], grammar: Grammar, found: Options) -> None:
    for position, letter in enumerate(letters, start=1):
        option = f"-{letter}"
        if option in grammar.values:
            value = letters[position:]
            if not value:
                value = rest.pop() if rest else ""
            # cxxopts and argparse take `-k=32` for `-k 32`.
            found.values[grammar.values[option]] = value.removeprefix("=")
            return
        if option in grammar.flags:
            found.flags.add(grammar.flags[option])
