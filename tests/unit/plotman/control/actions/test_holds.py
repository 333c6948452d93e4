"""Whom a hold concerns: hosts, directories and drives, as operators name them."""

from __future__ import annotations

import pytest

from common.errors import PlotmanError
from common.names import Role
from plotman.control.actions.holds import HoldPlace, concerned, place
from plotman.control.farm import FarmState
from tests.unit.beat.builders import T, directory, drive, farm, plotter, tmp_dir

BOTH = {"p1": plotter(tmp_dir("/tmp1"), tmp2=directory("/t2"), dst_dirs=(directory("/shared"),))}
FARM = FarmState(
    at=T,
    plotters=BOTH,
    archivers={},
    harvesters=farm(p1=[drive(path="/farm/1"), drive(path="/shared")], h1=[drive(path="/farm/1")]),
    waits=None,
    stale=frozenset(),
)
P1, H1, H2 = (Role.PLOTTER, "p1"), (Role.HARVESTER, "h1"), (Role.HARVESTER, "p1")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("all", HoldPlace(None)),
        ("p1", HoldPlace("p1")),
        ("p1:/tmp1/", HoldPlace("p1", "/tmp1")),
        ("/farm/1", HoldPlace("here", "/farm/1")),
    ],
)
def test_a_place_is_all_a_host_or_a_directory(text: str, meant: HoldPlace) -> None:
    assert place(text, "here") == meant


@pytest.mark.parametrize("text", ["p1:tmp", ":/tmp", "p1:", ""])
def test_what_is_no_place_says_what_is(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:/DIR"):
        place(text, "here")


@pytest.mark.parametrize(
    ("meant", "whom"),
    [
        (HoldPlace(None), [H1, H2, P1]),
        (HoldPlace("p1"), [H2, P1]),
        (HoldPlace("p1", "/tmp1"), [P1]),
        (HoldPlace("p1", "/t2"), [P1]),
        (HoldPlace("p1", "/farm/1"), [H2]),
        (HoldPlace("h1", "/farm/1"), [H1]),
        (HoldPlace("p1", "/shared"), [H2, P1]),
    ],
)
def test_a_word_goes_to_the_roles_whose_place_it_is(meant: HoldPlace, whom: list[tuple[Role, str]]) -> None:
    assert concerned(meant, FARM) == whom


@pytest.mark.parametrize(
    ("meant", "says"),
    [
        (HoldPlace("p2"), "Hosts that were ever seen: h1, p1"),
        (HoldPlace("p1", "/tmp11"), "Did you mean /tmp1?"),
        (HoldPlace("h1", "/x"), "It has /farm/1"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(meant: HoldPlace, says: str) -> None:
    with pytest.raises(PlotmanError) as raised:
        concerned(meant, FARM)
    assert says in str(raised.value)
    assert raised.value.exit_code == 5
