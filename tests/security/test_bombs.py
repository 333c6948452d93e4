"""Short texts that would cost their readers gigabytes or minutes, as any machine may write them."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from common.errors import PlotmanError
from common.model.bounds import MESSAGE_MOST_VALUES, MOST_OBJECTS, MOST_VALUES
from common.model.figures import Notice
from common.model.messages import CleanupOrder
from common.model.pending import MoveStep, PendingMove, PendingOrder
from common.model.snapshot import HarvesterSnapshot, PlotterSnapshot
from common.model.ticket import Ticket
from common.names import LEFTOVERS, Keys
from common.store import Board
from common.store.decode import MOST_CHARACTERS, read
from plotman.control.answers import checked
from tests.support.secured import Machines

_COST_BYTES = 256_000_000
_COST_S = 5.0  # on a slow machine
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
    "objects in place of a text": '{"host":' + _list('{"":0}', _LONGEST) + "}",
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


# Message and answers are parsed before they come to plotman's models.
_FILE = {"path": "/t/a", "inode": 1, "mtime_ns": 2, "size_bytes": "3"}
_FILES: dict[str, list[Any]] = {
    "empty files": [{}] * 500_000,
    "empty files, as many as are parsed": [{}] * 100_000,
    "wrong files, as many as are parsed": [_FILE] * 100_000,
    "files that are lists": [[0, 0, 0, 0]] * 100_000,
    "no files": [0] * (MESSAGE_MOST_VALUES - 10),
    "one large file": [dict.fromkeys(map(str, range(MESSAGE_MOST_VALUES - 10)), 0)],
}
_UNKNOWN = dict.fromkeys(map(str, range(MESSAGE_MOST_VALUES - 10)), 0)


def _answer(files: list[Any]) -> object:
    return checked(LEFTOVERS, "p1", {"leftovers": files, "kept": files[:5], "troubles": []})


_MOVE = PendingMove(
    path="/d/a.plot",
    harvester="h1",
    size_bytes=1,
    step=MoveStep.TRANSFER,
    expires_at=datetime.now(UTC),
    delivery={"": [{}] * 25_000},
)
ATTACKS: dict[str, Callable[[], object]] = {
    **{f"plotter: {name}": _parse(PlotterSnapshot, text) for name, text in _SNAPSHOTS.items()},
    "harvester: wrong ids": _parse(HarvesterSnapshot, f'{{"taken_in":{_FULL_VALUES}}}'),
    "harvester: wrong plotters": _parse(
        HarvesterSnapshot, '{"drives":[],"arriving":' + _keys("0", MOST_VALUES // 2) + "}"
    ),
    "move": _parse(PendingMove, _MOVE.model_dump_json()),
    "order": _parse(PendingOrder, '{"junk":' + _list("{}", _LONGEST, MOST_OBJECTS - 10) + "}"),
    "ticket": partial(Ticket.read, '{"junk":' + _list('{"":0}', _LONGEST) + "}", "0" * 64),
    "ticket of the allowed length": partial(Ticket.read, '{"junk":' + _list("{}", 65_000) + "}", "0" * 64),
    **{
        f"cleanup: {name}": partial(CleanupOrder.read, host="p1", files=files)
        for name, files in _FILES.items()
    },
    "cleanup: unknown arguments": partial(CleanupOrder.read, **_UNKNOWN),
    **{f"answer: {name}": partial(_answer, files) for name, files in _FILES.items()},
}


def _cost(attack: Callable[[], object]) -> tuple[int, float, str]:
    """What an attack costs this process in bytes and seconds of its processor, and how it ended."""
    before, began_s = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        attack()
        ended = "it was read"
    except (ValueError, PlotmanError) as error:
        ended = type(error).__name__
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (after - before) * 1024, time.process_time() - began_s, ended


def _print_costs() -> None:
    """Each attack in a process of its own, whose peak of memory begins with what it has then."""
    for name, attack in ATTACKS.items():
        if not (child := os.fork()):
            print(json.dumps([name, *_cost(attack)]), flush=True)
            os._exit(0)
        os.waitpid(child, 0)


def test_a_text_of_another_machine_costs_its_reader_little() -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"from {__name__} import _print_costs; _print_costs()"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert not done.returncode, done.stderr
    costs = {name: cost for name, *cost in map(json.loads, done.stdout.splitlines())}
    assert costs.keys() == ATTACKS.keys()
    dear = {name: cost for name, cost in costs.items() if cost[0] > _COST_BYTES or cost[1] > _COST_S}
    assert not dear
    assert "it was read" not in {ended for _, _, ended in costs.values()}


def test_more_records_than_a_host_has_are_not_parsed(attacked: Machines) -> None:
    """Without the limit a harvester parses all of them before each step of a move."""
    with attacked.secured.client("p1") as client:
        for number in range(4):
            client.hset(Keys.moves("p1"), str(number), _list('{"":0}', _LONGEST))
    board = Board.connect(attacked.secured.url("h1"))
    assert board.moves(["p1"]) == {}
    assert "longer than any host's" in board.spoilt.by_host()["p1"]
