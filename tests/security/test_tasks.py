"""Arguments of other types than a task takes: one line for the caller, no traceback, and nothing is done.

The attackers have the passwords of a harvester, who may write into plotters' queues, and of a scheduler, who
may write into harvesters' queues.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common import names
from common.names import ROLE_OF_TASK, Role, queue
from tests.security.test_messages import JSON
from tests.support.forged import Attacked
from tests.support.sections import SCHEDULING
from tests.support.secured import Machines, Secured

HOST = "both"
PLOT_ID = "ab" * 32
PATH = f"/mnt/dst/plot-k32-2026-11-22-19-22-{PLOT_ID}.plot"
RESERVATION = {
    "version": 1,
    "host": "h1",
    "source_host": HOST,
    "path": PATH,
    "size_bytes": 7,
    "drive": "/mnt/d1",
    "part": f"/mnt/d1/.incoming/{PLOT_ID}.part",
}
ADMISSION = {
    "version": 1,
    "reservation": RESERVATION,
    "landed": "/mnt/d1/x.plot",
    "size_bytes": 7,
    "verified": "yes",
}
FILE = {"path": "/mnt/tmp/x", "inode": 1, "mtime_ns": 1, "size_bytes": 1}
MOMENT = "2026-11-22T19:23:19Z"
# Arguments that each task takes, beside the host, with all that are optional.
HOLD = {"what": "plotting", "dir": "/x", "reason": "r", "by": "b", "until": MOMENT}
ARGUMENTS: dict[str, dict[str, Any]] = {
    names.PLOT: {"tmp": "/x", "dst": "/x", "turn": "t", "adopt": False, "expires_at": MOMENT},
    names.PAUSE: HOLD,
    names.UNPAUSE: HOLD,
    names.DRAIN: HOLD,
    names.UNDRAIN: {**HOLD, "everything": False},
    names.DRAIN_DRIVES: HOLD,
    names.UNDRAIN_DRIVES: {**HOLD, "everything": False},
    names.TRANSFER: {"reservation": RESERVATION},
    names.ARCHIVE_TO_TARGET: {"path": PATH, "size_bytes": 7, "coming": {"/x": 1}},
    names.RELEASE: {"admission": ADMISSION},
    names.REFUSE: {"path": PATH, "reason": "x"},
    names.NOT_COPIED: {"path": PATH, "harvester": "h1"},
    names.RESEND: {"plot": "none", "lost": "h1"},
    names.BANDWIDTH: {"bytes_s": 1},
    names.KILL: {"plot": "none"},
    names.SUSPEND: {"plot": "none"},
    names.RESUME: {"plot": "none"},
    names.DETAILS: {"plot": "none"},
    names.FILES: {"plot": "none"},
    names.LOG: {"plot": "none", "offset_bytes": 0, "lines": 1, "wait_s": 0.5},
    names.LEFTOVERS: {"tmp": "/x", "older_s": 1.5},
    names.CLEANUP: {"files": [FILE], "older_s": 1.5},
    names.PLOTTER_HISTORY: {"kind": "plots", "since": MOMENT, "limit": 1, "after": "x", "failed": False},
    names.HARVESTER_HISTORY: {"kind": "landings", "since": MOMENT, "limit": 1, "after": "x", "failed": False},
    names.FREE_SPACE: {},
    names.EVACUATE: {"dir": "/x", "to": ["h2"], "reason": "r", "by": "b", "bandwidth_bytes_s": 5000},
    names.STOP_EVACUATION: {"dir": "/x"},
    names.REPLOT: {
        "classes": [{"name": "og", "k": 32, "levels": [0], "pool": "key", "not_before": MOMENT}],
        "low_water_bytes": 1,
        "max_per_day": 1,
        "reason": "r",
        "by": "b",
    },
    names.PAUSE_REPLOT: {"reason": "r", "by": "b"},
    names.RESUME_REPLOT: {"reason": "r", "by": "b"},
    names.STOP_REPLOT: {"reason": "r", "by": "b"},
    names.FIND_PLOTS: {"plots": [PLOT_ID]},
    names.INVENTORY: {
        "what": "sums",
        "drive": "/x",
        "limit": 1,
        "after": "0",
        "begin": 0,
        "end": 1,
        "keys": [1],
    },
    names.RESERVE: {"source_host": "p1", "path": "/x", "size_bytes": 7, "move": "m", "door": True}
    | {"evacuates": False, "drives": ["/mnt/d1"]},
    names.ADMIT: {
        "delivery": {"version": 1, "reservation": RESERVATION, "digest": "x", "sent_bytes": 1, "took_s": 1.5}
    },
}
# Of other types than each argument takes.
WRONG: dict[type, list[Any]] = {
    bool: ["true", 1, [], {"a": 1}],
    int: ["5", -1, 1.5, True, 1 << 70, float("nan"), [], {}],
    float: ["5", -1, True, float("nan"), float("inf"), [], {}],
    str: [5, True, [], {"a": 1}, ["x"], "x\n", "\x1b[2J", "\ud800", "x" * 5000],
    list: ["x", 5, {}, [5], [[]], [None]],
    dict: ["x", 5, [1], {"x": []}],
}
ANY_TEXT = {(names.REFUSE, "reason")}  # is cleaned and cut, since the move is over


@pytest.fixture(scope="module")
def workers(tls_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Role, Attacked]]:
    """A plotter's, an archiver's and a harvester's worker of one host."""
    folder = tmp_path_factory.mktemp("tasks")
    secured = Secured(folder / "secrets", tls=False)
    secured.make("--plotter", HOST, "--harvester", HOST, "--harvester", "h1", "--scheduler", "boss")
    secured.start(tls_server)
    machines = Machines(folder, secured)
    for name in ("tmp", "dst", "drive"):
        (folder / name).mkdir()
    machines.configure(
        HOST,
        logging={"plots": str(folder / "logs")},
        directories={"tmp": [str(folder / "tmp")], "dst": [str(folder / "dst")]},
        scheduling=SCHEDULING,
        plotting={"type": "chia", "chia": {"executable": "/bin/true"}},
        archiving={"target": "harvester"},
        harvester={"drives": [str(folder / "drive")], "plain_folders": True, "receiver_port": 0},
    )
    made = {}
    for role in Role:
        attacker = secured.client("boss" if role is Role.HARVESTER else "h1")
        log = machines.begin(HOST, "plotman.serve", f"{role}@{HOST}")
        log = log.rename(log.with_name(f"{role}.log"))
        made[role] = Attacked(machines, log, HOST, queue(role, HOST), attacker)
    yield made
    machines.stop()
    secured.stop()


def spoiled(arguments: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each argument replaced by each wrong value, the ones inside of others too."""
    for name, value in arguments.items():
        yield from ((name, arguments | {name: wrong}) for wrong in WRONG[type(value)])
        if isinstance(value, dict) and "version" in value:
            for inner, changed in spoiled({key: part for key, part in value.items() if key != "version"}):
                yield f"{name}.{inner}", arguments | {name: {"version": 1, **changed}}


@pytest.mark.parametrize("task", ROLE_OF_TASK)
def test_a_wrong_type_is_one_line_for_the_caller(workers: dict[Role, Attacked], task: str) -> None:
    worker, good = workers[ROLE_OF_TASK[task]], {"host": HOST, **ARGUMENTS[task]}
    calls = [
        *((name, (), kwargs) for name, kwargs in spoiled(good) if (task, name) not in ANY_TEXT),
        ("no host", (), ARGUMENTS[task]),
        # Of a message with a version, unknown keys may belong to the next version.
        *(("unknown", (), good | {"unknown": 1}) for _ in range("version" not in str(good))),
        ("position", (1, 2, 3, 4, 5, 6, 7, 8), good),
    ]
    refused = worker.call_all(task, [(args, kwargs) for _, args, kwargs in calls])
    for (name, _, kwargs), answer in zip(calls, refused, strict=True):
        if answer is None:
            continue  # this task keeps no results
        assert answer["result"]["exc_type"] in ("OrderRefused", "TransferFailed"), (name, kwargs, answer)
        assert answer["traceback"] is None
        said = " ".join(answer["result"]["exc_message"])
        assert said.isprintable(), (name, said)
        assert len(said) < 2000
    assert "Traceback" not in worker.log
    print(f"{task}: {len(calls)} tried, {len(calls)} refused")


def test_each_task_is_in_the_table() -> None:
    assert ARGUMENTS.keys() == ROLE_OF_TASK.keys()


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A task, and its arguments with any value in one to three of their places."""
    task = draw(st.sampled_from(sorted(ARGUMENTS.keys() - {names.PLOT})))
    arguments: dict[str, Any] = copy.deepcopy({"host": HOST, **ARGUMENTS[task]})
    for _ in range(draw(st.integers(1, 3))):
        part = arguments
        key = draw(st.sampled_from(sorted(part)))
        while isinstance(part[key], dict) and part[key] and draw(st.booleans()):
            part = part[key]
            key = draw(st.sampled_from(sorted(part)))
        part[key] = draw(JSON)
    return task, arguments


@settings(
    max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
@given(sent=st.lists(calls(), min_size=20, max_size=20))
def test_whatever_the_arguments_are_no_traceback_is_left(
    workers: dict[Role, Attacked], sent: list[tuple[str, dict[str, Any]]]
) -> None:
    for task, arguments in sent:
        workers[ROLE_OF_TASK[task]].call_all(task, [((), arguments)], wait=False)
    for worker in workers.values():
        worker.answers()
        assert "Traceback" not in worker.log, sent
