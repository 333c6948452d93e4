"""Short texts that would cost their readers gigabytes or minutes, as any machine may write them."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from common.model.bounds import MOST_OBJECTS, MOST_VALUES
from common.model.pending import PendingMove, PendingOrder
from common.model.snapshot import HarvesterSnapshot, Notice, PlotterSnapshot
from common.store.decode import MOST_CHARACTERS, read

_COST_BYTES = 200_000_000
_COST_S = 1.0
_LONGEST = MOST_CHARACTERS - 100


def _list(item: str, characters: int, items: int = MOST_CHARACTERS) -> str:
    """A list as long as `characters` and `items` allow."""
    return f"[{item}{f',{item}' * min(items - 1, characters // (len(item) + 1))}]"


def _keys(value: str, items: int) -> str:
    return "{" + ",".join(f'"{number:x}":{value}' for number in range(items)) + "}"


_FULL_OBJECTS = _list("{}", _LONGEST, MOST_OBJECTS - 10)
_FULL_VALUES = _list("0", _LONGEST, MOST_VALUES - 10)
_SNAPSHOTS = {
    "unknown objects": '{"junk":' + _list('{"":0}', _LONGEST) + "}",
    "unknown objects, as many as are parsed": '{"junk":' + _list('{"":0}', _LONGEST, MOST_OBJECTS - 10) + "}",
    "unknown values": '{"junk":' + _list("0", _LONGEST) + "}",
    "unknown values, as many as are parsed": f'{{"junk":{_FULL_VALUES}}}',
    "unknown texts, as many as are parsed": '{"junk":' + _keys('"x"', MOST_VALUES // 2) + "}",
    "values in place of a text": f'{{"host":{_FULL_VALUES}}}',
    "incomplete parts of a list": '{"plots":'
    + _list("{}", 300_000)
    + ',"jobs":'
    + _list("{}", 300_000)
    + "}",
    "as many as are parsed": f'{{"jobs":{_FULL_OBJECTS}}}',
    "lists of wrong values": f'{{"plots":{_FULL_VALUES}}}',
    "escaped characters": '{"host":"' + r"\u0041" * 1_000_000 + '"}',
    "control characters": '{"host":"' + "\x7f" * _LONGEST + '"}',
}


def _parse(kind: type[Notice], text: str) -> Callable[[], object]:
    return partial(read, kind, text)


ATTACKS: dict[str, Callable[[], object]] = {
    **{f"plotter: {name}": _parse(PlotterSnapshot, text) for name, text in _SNAPSHOTS.items()},
    "harvester: wrong ids": _parse(HarvesterSnapshot, f'{{"taken_in":{_FULL_VALUES}}}'),
    "harvester: wrong plotters": _parse(
        HarvesterSnapshot, '{"drives":[],"arriving":' + _keys("0", MOST_VALUES // 2) + "}"
    ),
    "move": _parse(PendingMove, '{"delivery":{"":' + _list("{}", _LONGEST, MOST_OBJECTS - 10) + "}}"),
    "order": _parse(PendingOrder, '{"junk":' + _list("{}", _LONGEST, MOST_OBJECTS - 10) + "}"),
}


def _cost(name: str) -> None:
    """Print what one attack costs this process: bytes and seconds, and how it ended."""
    before, began_s = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        ATTACKS[name]()
        ended = "it was read"
    except Exception as error:  # noqa: BLE001 - the test checks its type
        ended = type(error).__name__
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps([(after - before) * 1024, time.process_time() - began_s, ended]))


@pytest.mark.parametrize("name", ATTACKS)
def test_a_text_of_another_machine_costs_its_reader_little(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"from {__name__} import _cost; _cost({name!r})"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert not done.returncode, done.stderr
    grown_bytes, took_s, ended = json.loads(done.stdout)
    assert grown_bytes < _COST_BYTES
    assert took_s < _COST_S
    assert ended in ("Unreadable", "OrderRefused", "TicketRefused", "ValueError")
