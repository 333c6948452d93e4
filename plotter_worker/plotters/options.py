"""Reads the command lines of plotters: which program runs, and its options. Unknown options are no error."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_PYTHON = re.compile(r"python[\d.]*\Z")
# Python's own options that take a value in the next word.
_PYTHON_VALUES = frozenset({"-X", "-W", "--check-hash-based-pycs"})

_MASK = "***"


@dataclass(frozen=True)
class Grammar:
    """How a program spells its options.

    values: option with a value -> our name for it, e.g. {"-k": "k", "--size": "k"}.
    flags: option without a value -> our name for it.
    clusters: `-exk32` means `-e -x -k 32` (click, argparse, cxxopts). bladebit does not split words: its
        `-t1` is one option.
    abbreviations: `--tmp` means `--tmp_dir` (argparse).
    """

    values: Mapping[str, str]
    flags: Mapping[str, str] = field(default_factory=dict)
    clusters: bool = True
    abbreviations: bool = False


@dataclass
class Options:
    """The options of one command line by our names, and the words that are no options. Of a repeated option
    the last value counts."""

    values: dict[str, str] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)
    words: list[str] = field(default_factory=list)

    def text(self, name: str) -> str | None:
        return self.values.get(name)

    def number(self, name: str) -> int | None:
        """The value as a number; None if it is absent or no number."""
        try:
            return int(self.values[name])
        except (KeyError, ValueError):
            return None


def parse(arguments: Sequence[str], grammar: Grammar) -> Options:
    """Read `arguments`, without the program's name."""
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
            # cxxopts and argparse read `-k=32` as `-k 32`.
            found.values[grammar.values[option]] = value.removeprefix("=")
            return
        if option in grammar.flags:
            found.flags.add(grammar.flags[option])


def masked(argv: Sequence[str], secret: Sequence[str]) -> tuple[str, ...]:
    """Replace the values of secret options by `***`, however spelt: `-S x`, `-Sx`, `--seed=x`, `--see x`."""
    shown: list[str] = []
    value_follows = False
    for word in argv:
        option, equals, _ = word.partition("=")
        is_long = len(option) > 2 and any(one.startswith(option) for one in secret)
        short = next((one for one in secret if len(one) == 2 and word.startswith(one)), None)
        if value_follows:
            shown.append(_MASK)
            value_follows = word == "" or word in secret  # mistyped: the secret may come behind it
        elif word in secret or (is_long and not equals):
            shown.append(word)
            value_follows = True
        elif is_long or short:
            shown.append(f"{option}={_MASK}" if is_long else f"{short}{_MASK}")
        else:
            shown.append(word)
    return tuple(shown)


def program(argv: Sequence[str]) -> tuple[str, list[str]]:
    """Split an argv into the program's base name and its arguments; ("", []) for a zombie, which has no argv.

    A Python script is named by the script: `/venv/bin/python3.11 /venv/bin/chia plots` is
    ("chia", ["plots"]), as is `python -m chia.cmds.chia plots`. Python without a script is "python".
    """
    if not argv:
        return "", []
    name, rest = _base(argv[0]), list(argv[1:])
    if not _PYTHON.match(name):
        return name, rest
    while rest:
        word = rest.pop(0)
        if word == "-m" and rest:
            return rest.pop(0).rpartition(".")[2], rest
        if word in _PYTHON_VALUES:
            rest = rest[1:]
        elif not word.startswith("-"):
            return _base(word), rest
        elif word == "-c":
            break
    return "python", []


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def key_arguments(farmer_pk: str | None, pool_pk: str | None, contract: str | None) -> list[str]:
    """Build -f, -p and -c, which chia, madMAx and bladebit spell alike; absent keys are left out."""
    keys = (("-f", farmer_pk), ("-p", pool_pk), ("-c", contract))
    return [word for option, key in keys if key for word in (option, key)]
