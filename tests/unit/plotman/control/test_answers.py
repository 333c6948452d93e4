"""Every worker's Redis user may overwrite answers: verbs meet hostile ones of p10, and honest ones of p1."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from common import names
from common.errors import PlotmanError
from common.history.rows import HistoryKind
from plotman.cli import cli
from plotman.control import farm as farm_module
from plotman.control import local, rpc
from plotman.control.actions import cleanup, holds
from plotman.control.farm import FarmState
from plotman.control.queries import history, inventory
from plotman.control.queries.misnamed import ask_drives
from tests.support.paper import T
from tests.support.told import JOB, plotter

IDENTITY = {"plot_id": "a" * 64, "task_id": "a1", "pid": 1}
FILE = {"path": "/t/x.tmp", "size_bytes": 5, "allocated_bytes": 5}
LEFTOVER = {
    "path": "/t/y.tmp", "folder": "/t", "inode": 1, "mtime_ns": 2, "size_bytes": 3, "allocated_bytes": 4,
    "owner": "farmer", "plot_id": None, "program": "bladebit", "age_s": 1.8e9,
}  # fmt: skip


def row(key: str, ended_at: str = "2026-11-20T00:00:00Z", **known: object) -> dict[str, object]:
    known = {"host": "p1", "task_id": "t", "plotter": "chia", "end": "done", "k": 32} | known
    return {"key": key, "ended_at": ended_at, **known}


def honest(task: str, host: str) -> Any:
    """What a plotter answers. An unknown key is of a newer release."""
    named = {"host": host, **IDENTITY, "new": 1}
    return {
        names.LEFTOVERS: {"leftovers": [LEFTOVER], "kept": [LEFTOVER | {"reason": "young"}], "troubles": []},
        names.CLEANUP: {"deleted": ["/t/y.tmp"], "freed_bytes": 4, "refused": []},
        names.PLOTTER_HISTORY: {
            "version": 1, "host": host, "kind": "plots", "rows": [row("1", host=host, total_s=60)],
            "next": None,
        },
        names.FILES: {**named, "ours": True, "files": [FILE], "finished": [], "troubles": []},
        names.KILL: {**named, "freed_bytes": 5, "deleted": 1, "finished": [], "left": []},
        names.DETAILS: {
            **named, **JOB.model_dump(mode="json"), "argv": ["chia"], "user": None,
            "processes": [{"pid": 1, "name": "chia", "status": "running"}], "files": 1, "files_bytes": 5,
            "troubles": [],
        },
        names.LOG: {
            "host": host, "plot_id": "c" * 64, "log": "/l", "text": "of the log\n", "offset_bytes": 5,
            "ended": True,
        },
        names.SUSPEND: {**named, "status": "STP"},
        names.RESUME: {**named, "status": "RUN"},
        names.UNDRAIN: {"answer": f"{host} starts plots", "lifted": [], "drained": []},
        names.FIND_PLOTS: {"version": 1, "found": [["a", "/x"]], "unread": [], "new": 1},
        names.INVENTORY: {
            "version": 1, "host": host, "next": None, "new": 1,
            "files": [{"drive": "/d", "name": f"of {host} here.plot", "size_bytes": 5, "plots": 1}],
        },
    }.get(task, f"{host} obeys")  # fmt: skip


HUGE = 10**400
WRONG = {
    "leftovers": [{}], "kept": 5, "troubles": None, "rows": 5, "next": 7, "files": [{}], "finished": 1,
    "ours": 1, "deleted": "x", "freed_bytes": "y", "left": 0, "text": 5, "ended": 0, "offset_bytes": "q",
    "plot_id": 5, "answer": 5, "found": 5, "unread": 5, "started_at": "1764400000",
}  # fmt: skip


def nested() -> list[Any]:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    return deep


def changed(**fields: object) -> Callable[[str], Any]:
    """The honest answer but for these fields, and the fields of its lists."""

    def answer(task: str) -> Any:
        good = honest(task, "p10")
        if not isinstance(good, dict):
            return fields
        parts = {
            name: [{**part, **fields} for part in value]
            for name, value in good.items()
            if isinstance(value, list) and value and isinstance(value[0], dict)
        }
        return {**good, **fields, **parts}

    return answer


NAMED = {names.FILES, names.KILL, names.DETAILS, names.LOG, names.SUSPEND, names.RESUME}
HOSTILE: dict[str, Callable[[str], Any]] = {
    "an empty object": lambda _: {},
    "a list": lambda _: [1],
    "nothing": lambda _: None,
    "a number": lambda _: 5,
    "another's sentence": lambda _: "p1 obeys",
    "wrong types": lambda _: WRONG,
    "deep lists": lambda _: nested(),
    "deep in an object": lambda task: {**WRONG, "x": nested(), "task": task},
    "absurd numbers": changed(
        allocated_bytes=HUGE, freed_bytes=HUGE, files_bytes=HUGE, offset_bytes=HUGE, answer=HUGE, pid=HUGE,
        next=5, found=[[HUGE, "/x"]],
    ),
    "infinity": changed(
        age_s=float("inf"), percent=float("inf"), user_s=float("nan"), size_bytes=float("inf"), ended="yes",
        status=None, deleted=float("inf"), answer=float("inf"), next=["x"], found=[[1.5, "/x"]],
    ),
    "the name of another host": lambda task: {**(honest(task, "p10") if task in NAMED else {}), "host": "p1"},
}  # fmt: skip
VERBS: dict[str, tuple[str, ...]] = {
    names.LEFTOVERS: ("cleanup",),
    names.CLEANUP: ("cleanup", "--yes"),
    names.PLOTTER_HISTORY: ("history",),
    names.KILL: ("kill", "--yes", "all"),
    names.DETAILS: ("details", "all"),
    names.FILES: ("files", "all"),
    names.LOG: ("logs", "bbbb"),
    names.PAUSE: ("pause", "plotting"),
    names.UNPAUSE: ("unpause", "plotting"),
    names.DRAIN: ("drain", "all"),
    names.UNDRAIN: ("undrain", "all"),
    names.BANDWIDTH: ("bandwidth", "off"),
    names.SUSPEND: ("suspend", "all"),
    names.RESUME: ("resume", "all"),
    names.INVENTORY: ("inventory", "--files"),
}


class Sent:
    """A task's result in Redis."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def get(self, *_: object, **__: object) -> Any:
        return self._answer

    def ready(self) -> bool:
        return True

    def forget(self) -> None: ...


class Hosts:
    """p1 and p10 of a farm. hostile: answer of p10 by task; without one it is honest. asked: calls so far."""

    def __init__(self) -> None:
        self.hostile: dict[str, Callable[[rpc.TaskCall], Any]] = {}
        self.asked: list[rpc.TaskCall] = []

    def send(self, call: rpc.TaskCall, *_: object) -> Sent:
        self.asked.append(call)
        hostile = self.hostile.get(call.task) if call.host == "p10" else None
        return Sent(hostile(call) if hostile else honest(call.task, call.host))


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosts]:
    found = Hosts()
    running = {
        host: plotter(host=host, jobs=(JOB.model_copy(update={"task_id": f"{one}1", "plot_id": one * 64}),))
        for host, one in (("p1", "a"), ("p10", "b"))
    }
    shown = FarmState(at=T, plotters=running, archivers={}, harvesters={}, waits=None, stale=frozenset())
    for module in (farm_module, holds):
        monkeypatch.setattr(module, "board", lambda: None)
    for reader in (farm_module, holds, local):
        monkeypatch.setattr(reader, "read_farm", lambda _: shown)
    monkeypatch.setattr(holds, "requester", lambda: "me@here")
    monkeypatch.setattr(holds, "settings", lambda: SimpleNamespace(host="boss"))
    monkeypatch.setattr(rpc, "settings", lambda: None)
    monkeypatch.setattr(rpc, "broker_url", lambda _: "redis://nowhere")
    monkeypatch.setattr(rpc, "_send", found.send)
    live = (["p1", "p10"], ["p1", "p10"])
    for module in (rpc, cleanup, history, inventory):
        monkeypatch.setattr(module, "hosts_of", lambda *_: live)
    yield found


def run(*words: str) -> Result:
    """The verb's result, which is output, and no other error than one in words."""
    done = CliRunner().invoke(cli, words)
    if done.exception is not None and not isinstance(done.exception, PlotmanError | SystemExit):
        raise done.exception
    return done


def told(done: Result) -> str:
    error = done.exception if isinstance(done.exception, PlotmanError) else ""
    return f"{done.output}\n{error}"


@pytest.mark.parametrize("task", VERBS)
def test_honest_answers_are_shown(hosts: Hosts, task: str) -> None:
    done = run(*VERBS[task])
    assert "cannot be read" not in told(done)
    assert done.exit_code == 0, told(done)


@pytest.mark.parametrize("task", VERBS)
@pytest.mark.parametrize("answer", HOSTILE)
def test_an_answer_of_another_form_is_an_error_of_its_host_alone(
    hosts: Hosts, task: str, answer: str
) -> None:
    alone = run(*VERBS[task]).stdout
    hosts.hostile[task] = lambda call: HOSTILE[answer](call.task)
    hosts.asked.clear()
    done = run(*VERBS[task])
    assert f"The answer of p10 to {task} cannot be read" in told(done)
    if task != names.LOG:  # of one plot
        assert {call.host for call in hosts.asked if call.task == task} == {"p1", "p10"}
        honest_lines = [line for line in alone.splitlines() if "p1 " in line or "a" * 8 in line]
        assert all(line in done.stdout for line in honest_lines)


@pytest.mark.parametrize("verb", ["cleanup", "history", "export", "analyze"])
def test_what_is_missing_of_one_host_is_shown_of_the_others(hosts: Hosts, verb: str) -> None:
    hosts.hostile = dict.fromkeys((names.LEFTOVERS, names.PLOTTER_HISTORY), lambda _: {"rows": 5})
    done = run(verb)
    assert ("p1" if verb != "analyze" else "μ=60.00") in done.stdout.replace("p10", "")
    assert "cannot be read" in done.stderr


def test_plots_of_other_hosts_can_be_killed_after_the_question(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts.hostile[names.FILES] = lambda _: {}
    monkeypatch.setattr("plotman.cli.plots.must_agree", lambda *_: None)
    assert "cannot be read" in run("kill", "all").stderr
    assert [call.host for call in hosts.asked if call.task == names.KILL] == ["p1"]


def test_a_cleanup_continues_on_other_hosts_after_one_whose_answer_cannot_be_read(hosts: Hosts) -> None:
    hosts.hostile[names.CLEANUP] = lambda _: {"deleted": 5}
    done = run("cleanup", "--yes", "--json")
    of = {one["host"]: one for one in json.loads(done.stdout)["hosts"]}
    assert "cannot be read" in of["p10"]["error"]
    assert (of["p1"]["error"], of["p1"]["deleted"], done.exit_code) == (None, 1, 1)


def test_an_ended_log_is_found_beside_an_answer_that_cannot_be_read(hosts: Hosts) -> None:
    hosts.hostile[names.LOG] = lambda _: {"text": 5}
    assert run("logs", "cccc").stdout == "of the log\n"


def test_details_of_an_older_plotter_lack_nothing(hosts: Hosts) -> None:
    hosts.hostile[names.DETAILS] = lambda call: {
        key: value
        for key, value in honest(call.task, "p10").items()
        if key not in ("stalled", "k", "percent")
    }
    done = run("details", "bbbb")
    assert done.exit_code == 0, told(done)


@pytest.mark.parametrize(
    "answer", [["x"], {"found": 7}, None, {"found": [["a"]]}, {"version": 2, "found": [], "unread": []}]
)
def test_what_a_harvester_found_has_the_known_form(hosts: Hosts, answer: Any) -> None:
    hosts.hostile[names.FIND_PLOTS] = lambda _: answer
    answers = ask_drives(["p1", "p10"], ["a"])
    assert isinstance(answers["p10"], PlotmanError)
    assert getattr(answers["p1"], "found", None) == (("a", "/x"),)


@pytest.mark.parametrize("task", sorted({*VERBS, names.RESEND, names.DRAIN_DRIVES, names.UNDRAIN_DRIVES,
                                         names.HARVESTER_HISTORY, names.FIND_PLOTS,
                                         names.INVENTORY}))  # fmt: skip
def test_each_task_of_a_verb_has_a_form(hosts: Hosts, task: str) -> None:
    hosts.hostile[task] = lambda _: 5
    assert "cannot be read" in str(rpc.ask_many(task, ["p10"])["p10"])


# History in pages.


def paged(rows: Callable[[int], list[dict[str, object]]], after: Callable[[int], Any]) -> Any:
    """A host that answers page after page; it ends the test after the thousandth."""
    asked = []

    def answer(_: rpc.TaskCall) -> Any:
        asked.append(1)
        if len(asked) > 1000:
            pytest.fail("it is asked for ever")
        return {"host": "p10", "rows": rows(len(asked)), "next": after(len(asked))}

    return answer


@pytest.mark.parametrize(
    ("rows", "after", "says"),
    [
        (lambda _: [], lambda _: "x", "cannot be read"),
        (lambda _: [], str, "cannot be read"),
        (lambda _: [row("9", host="p10")], str, "cannot be read"),
        (lambda page: [row(str(page), host="p10")], lambda _: "x", "cannot be read"),
        (lambda page: [row(str(page), host="p10")], str, "newest 200 pages"),
        (lambda page: [{"key": str(page), "ended_at": "?"}], str, "newest 200 pages"),
    ],
)
def test_a_history_without_end_ends(hosts: Hosts, rows: Any, after: Any, says: str) -> None:
    hosts.hostile[names.PLOTTER_HISTORY] = paged(rows, after)
    found = history.gather(HistoryKind.PLOTS)
    assert says in found.missing["p10"]
    assert "p1" in {one.host for one in found.rows}
    assert "p1" not in found.missing


def test_a_history_of_several_pages_is_read_whole(hosts: Hosts) -> None:
    pages = iter([("a", "2"), ("b", "3"), ("c", None)])

    def answer(_: rpc.TaskCall) -> Any:
        key, after = next(pages)
        return {"host": "p10", "rows": [row(key, host="p10")], "next": after}

    hosts.hostile[names.PLOTTER_HISTORY] = answer
    found = history.gather(HistoryKind.PLOTS)
    assert [one.key for one in found.rows if one.host == "p10"] == ["a", "b", "c"]
    assert found.missing == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"total_s": 1e300}, {"total_s": float("inf")}, {"phase1_s": float("nan")}, {"copy_s": -1},
        {"k": HUGE}, {"size_bytes": 10**30}, {"ended_at": "0001-01-01T00:00:00Z"},
        {"started_at": "9999-12-31T23:59:59Z"}, {"threads": -HUGE},
    ],
)  # fmt: skip
@pytest.mark.parametrize("verb", ["history", "export", "analyze"])
def test_a_row_with_absurd_numbers_ends_no_verb(hosts: Hosts, verb: str, fields: dict[str, object]) -> None:
    page = {"host": "p10", "rows": [row("1", host="p10") | fields], "next": None}
    hosts.hostile[names.PLOTTER_HISTORY] = lambda _: page
    done = run(verb)
    assert done.exit_code == 0, told(done)
    for absurd in ("e+300", "inf", "nan", "00000000000000000000"):
        assert absurd not in done.output
