"""For whom a word is: hosts, directories and drives, as people name them."""

from __future__ import annotations

import pytest

from common.errors import PlotmanError
from common.names import Role
from plotman.control.actions.holds import Place, concerned, place
from plotman.control.farm import Farm
from tests.unit.beat.builders import T, directory, drive, farm, plotter, tmp_dir

BOTH = {"p1": plotter(tmp_dir("/tmp1"), tmp2=directory("/t2"), dst_dirs=(directory("/shared"),))}
FARM = Farm(
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
        ("all", Place(None)),
        ("p1", Place("p1")),
        ("p1:/tmp1/", Place("p1", "/tmp1")),
        ("/farm/1", Place("here", "/farm/1")),
    ],
)
def test_a_place_is_all_a_host_or_a_directory(text: str, meant: Place) -> None:
    assert place(text, "here") == meant


@pytest.mark.parametrize("text", ["p1:tmp", ":/tmp", "p1:", ""])
def test_what_is_no_place_says_what_is(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:/DIR"):
        place(text, "here")


@pytest.mark.parametrize(
    ("meant", "whom"),
    [
        (Place(None), [H1, H2, P1]),
        (Place("p1"), [H2, P1]),
        (Place("p1", "/tmp1"), [P1]),
        (Place("p1", "/t2"), [P1]),
        (Place("p1", "/farm/1"), [H2]),
        (Place("h1", "/farm/1"), [H1]),
        (Place("p1", "/shared"), [H2, P1]),
    ],
)
def test_a_word_goes_to_the_roles_whose_place_it_is(meant: Place, whom: list[tuple[Role, str]]) -> None:
    assert concerned(meant, FARM) == whom


@pytest.mark.parametrize(
    ("meant", "says"),
    [
        (Place("p2"), "Hosts that were ever seen: h1, p1"),
        (Place("p1", "/tmp11"), "Did you mean /tmp1?"),
        (Place("h1", "/x"), "It has /farm/1"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(meant: Place, says: str) -> None:
    with pytest.raises(PlotmanError) as raised:
        concerned(meant, FARM)
    assert says in str(raised.value)
    assert raised.value.exit_code == 5
