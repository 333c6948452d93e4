"""What is wrong with a farm is reported once when it begins and once when it is over."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.model.snapshot import Directory, DirState, DiskHealth, Drive, DriveUse, Failures, Waits
from common.names import Role
from plotman.control.farm import FarmState
from plotman.notifications.conditions import conditions, nodes
from plotman.notifications.edges import Tracked, find_edges
from tests.support.full_farm import ago, drive, harvester, job, plotter

T = datetime(2026, 11, 22, 12, tzinfo=UTC)
IDLE_S = 3600.0


def farm(*drives: Drive, stale: Iterable[tuple[Role, str]] = (), **changes: Any) -> FarmState:
    given: dict[str, Any] = {
        "at": datetime.now(UTC),
        "plotters": {"p": plotter("p")},
        "archivers": {},
        "harvesters": {"h": harvester(*(drives or (drive(),)), host="h")},
        "waits": None,
        "leader": "b",
    }
    return FarmState(**given | changes, stale=frozenset(stale))


class Watch:
    """Looks at farms one after the other, and remembers as a notifier does."""

    def __init__(self) -> None:
        self.tracked: dict[str, Tracked] = {}
        self.known: set[str] = set()

    def look(self, at_s: float, seen: FarmState) -> list[str]:
        """What is reported: `kind`, `-kind` where it is over."""
        now = T + timedelta(seconds=at_s)
        alive = {name for name, lives in nodes(seen).items() if lives}
        edges = find_edges(self.tracked, conditions(seen, self.known, IDLE_S), alive, now)
        self.known |= alive
        self.tracked = {
            what: one.model_copy(update={"occurrence": "x"})
            if what in {condition.what for condition in edges.raised}
            else one
            for what, one in edges.tracked.items()
        }
        over = [f"-{condition.kind}" for _, _, condition in edges.cleared if condition]
        return [condition.kind for condition in edges.raised] + over


LOST = drive(state=DirState.NOT_MOUNTED)
FULL = drive(full=True)
FAILS = drive(disk=DiskHealth(names=("sda",), fails=True))
STOPPED = {"plotters": {"p": plotter("p", jobs=(), failures=Failures(consecutive=3, last_reason="no disk."))}}
STALLED = {"plotters": {"p": plotter("p", jobs=(job(stalled="retrying"),))}}
FINE = {"plotters": {"p": plotter("p", jobs=(job(),))}}
IDLE = {"plotters": {"p": plotter("p", jobs=())}}
OK = farm(**FINE)
SILENT = farm(**FINE, stale={(Role.HARVESTER, "h")})
GONE = farm(**FINE, harvesters={})  # from a Redis that lost its data
RESTARTED = farm(**FINE, leader=None, waits=Waits(beat="b", at=ago(30)))
UNDECIDED = farm(**FINE, leader=None, waits=Waits(beat="b", at=ago(900)))
NEVER_DECIDED = farm(**FINE, leader=None)
EMPTIED = farm(plotters={}, harvesters={}, leader=None)


def folders(state: DirState) -> FarmState:
    """tmp2 and dst are one directory."""
    both = Directory(path="/mnt/ssd", state=state)
    return farm(plotters={"p": plotter("p", jobs=(job(),), tmp2=both, dst_dirs=(both,))})


Looks = list[tuple[float, FarmState, list[str]]]


def every(step_s: float, until_s: float, seen: FarmState) -> Looks:
    return [(at * step_s, seen, []) for at in range(int(until_s / step_s))]


@pytest.mark.parametrize(
    "looks",
    [
        pytest.param(
            [
                (0, farm(LOST, **FINE), []),
                (19, farm(LOST, **FINE), []),
                (20, farm(LOST, **FINE), ["drive-lost"]),
                (25, farm(LOST, **FINE), []),
                (30, OK, []),
                (50, OK, ["-drive-lost"]),
                (55, OK, []),
            ],
            id="a lost drive is told once, and once that it is back",
        ),
        pytest.param(
            [
                (0, farm(LOST, **FINE), []),
                (15, OK, []),
                (18, farm(LOST, **FINE), []),
                (37, OK, []),
                (90, OK, []),
            ],
            id="a drive that blinks is not told",
        ),
        pytest.param(
            [
                (0, farm(LOST, **FINE), []),
                (20, farm(LOST, **FINE), ["drive-lost"]),
                (30, OK, []),
                (40, farm(LOST, **FINE), []),
                (70, farm(LOST, **FINE), []),
            ],
            id="a lost drive that blinks is told once",
        ),
        pytest.param(
            [
                (0, farm(LOST, **FINE), []),
                (20, farm(LOST, **FINE), ["drive-lost"]),
                (30, SILENT, []),
                (60, SILENT, []),
                (80, farm(LOST, **FINE), []),
                (95, farm(LOST, **FINE), []),
            ],
            id="a lost drive whose host falls silent is not back",
        ),
        pytest.param(
            [
                (0, farm(LOST, **FINE), []),
                (20, farm(LOST, **FINE), ["drive-lost"]),
                (25, farm(drive("/farm/9"), **FINE), []),
                (60, farm(drive("/farm/9"), **FINE), []),
            ],
            id="a lost drive that is taken out of the configuration is no news",
        ),
        pytest.param(
            [
                (0, farm(drive(use=DriveUse.DISABLED, state=DirState.MISSING), **FINE), []),
                (60, farm(drive(use=DriveUse.DISABLED, state=DirState.MISSING), **FINE), []),
            ],
            id="a disabled drive is missed by nobody",
        ),
        pytest.param(
            [
                (0, farm(FAILS, **FINE), ["disk-fails"]),
                (60, farm(FAILS, **FINE), []),
                (90, farm(drive(disk=DiskHealth(names=("sda",))), **FINE), []),
                (120, farm(FAILS, **FINE), []),
            ],
            id="a disk that fails is told once, also when it did not say so for a while",
        ),
        pytest.param(
            [
                (0, farm(FULL, **FINE), []),
                (20, farm(FULL, **FINE), ["drive-full"]),
                (60, OK, []),
                (90, farm(FULL, **FINE), []),
                (120, farm(FULL, **FINE), []),
            ],
            id="a full drive that has room for a moment is told once",
        ),
        pytest.param(
            [
                (0, farm(**STOPPED), ["plotting-stopped"]),
                (5, farm(**STOPPED), []),
                (10, OK, ["-plotting-stopped"]),
            ],
            id="plotting that stopped is told at once",
        ),
        pytest.param(
            [(0, farm(**STALLED), ["plot-stalled"]), (5, farm(**STALLED), []), (10, farm(**IDLE), [])],
            id="a stalled plot is told at once, and its end is told otherwise",
        ),
        pytest.param(
            [
                (0, OK, []),
                (5, SILENT, []),
                (64, SILENT, []),
                (65, SILENT, ["host-stale"]),
                (70, SILENT, []),
                (75, OK, []),
                (90, OK, ["-host-stale"]),
            ],
            id="a silent host is told once, and once that it is back",
        ),
        pytest.param(
            [(0, OK, []), (5, GONE, []), (65, GONE, ["host-stale"]), (70, GONE, []), (75, SILENT, [])],
            id="a host that does not come back to an emptied Redis is silent",
        ),
        pytest.param(
            [(0, SILENT, []), (60, SILENT, ["host-stale"]), (65, GONE, []), (100, GONE, [])],
            id="a silent host that an emptied Redis does not know is told once",
        ),
        pytest.param(
            [
                *every(100, 3600, farm(**IDLE)),
                (3600, farm(**IDLE), ["farm-idle"]),
                (3660, farm(**IDLE), []),
                (3700, OK, []),
                (3760, OK, ["-farm-idle"]),
            ],
            id="an idle farm is told after its time",
        ),
        pytest.param(
            [(0, RESTARTED, []), (20, RESTARTED, []), (40, UNDECIDED, []), (45, OK, []), (65, OK, [])],
            id="a scheduler that is restarted is not told",
        ),
        pytest.param(
            [
                (0, UNDECIDED, []),
                (15, UNDECIDED, []),
                (20, UNDECIDED, ["scheduler-lost"]),
                (25, UNDECIDED, []),
                (30, OK, []),
                (36, UNDECIDED, []),  # it crashed, and its lease ran out
                (60, OK, []),
                (75, OK, ["-scheduler-lost"]),
                (80, OK, []),
            ],
            id="that no scheduler decides is told once, and once that one does for good",
        ),
        pytest.param(
            [(0, NEVER_DECIDED, []), (20, NEVER_DECIDED, ["scheduler-lost"]), (25, NEVER_DECIDED, [])],
            id="a farm in which no scheduler was ever started is told",
        ),
        pytest.param(
            [
                (0, UNDECIDED, []),
                (20, UNDECIDED, ["scheduler-lost"]),
                (25, EMPTIED, []),
                (45, EMPTIED, []),
                (50, NEVER_DECIDED, []),
                (90, NEVER_DECIDED, []),
            ],
            id="an emptied Redis is no scheduler that is back",
        ),
        *(
            pytest.param(
                [
                    (0, folders(state), []),
                    (19, folders(state), []),
                    (20, folders(state), ["dir-lost"]),
                    (25, folders(state), []),
                    (30, folders(DirState.OK), []),
                    (50, folders(DirState.OK), ["-dir-lost"]),
                ],
                id=f"a plotter's directory that is {state.value} is told once, and once that it is back",
            )
            for state in (DirState.MISSING, DirState.READ_ONLY, DirState.HANGING)
        ),
        pytest.param(
            [(0, folders(DirState.UNKNOWN), []), (60, folders(DirState.UNKNOWN), [])],
            id="a directory at which nobody looked yet is not lost",
        ),
        pytest.param(
            [
                (0, folders(DirState.MISSING), []),
                (20, folders(DirState.MISSING), ["dir-lost"]),
                (25, OK, []),
                (60, OK, []),
            ],
            id="a lost directory that is taken out of the configuration is no news",
        ),
        pytest.param(
            [*every(100, 3000, farm(**IDLE)), (9000, farm(**IDLE), []), (9060, farm(**IDLE), [])],
            id="what was not looked at for long has to last anew",
        ),
    ],
)
def test_what_is_told_when(looks: Looks) -> None:
    watch = Watch()
    assert [(at_s, watch.look(at_s, seen)) for at_s, seen, _ in looks] == [
        (at, told) for at, _, told in looks
    ]


def test_what_another_notifier_raised_is_cleared_by_one_that_never_saw_it_wrong() -> None:
    raised = {"drive-lost h /farm/1": "their occurrence"}
    alive = {"plotter@p", "harvester@h"}
    first = find_edges({}, conditions(OK, frozenset(), IDLE_S), alive, T, raised)
    second = find_edges(first.tracked, conditions(OK, frozenset(), IDLE_S), alive, T + timedelta(seconds=20))
    assert first.cleared == ()
    assert [(what, occurrence) for what, occurrence, _ in second.cleared] == [*raised.items()]
