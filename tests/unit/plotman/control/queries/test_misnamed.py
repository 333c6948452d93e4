"""`plotman why` of a plot under another name: which it is, what to call it, where else it is."""

from __future__ import annotations

from typing import Any

import pytest

from beat.policy.remedies import REMEDIES
from common.errors import PlotmanError
from common.model.messages import PlotsFound
from common.model.snapshot import PlotState
from common.names import Role
from plotman.control.queries import misnamed
from plotman.control.queries.explain import explain
from plotman.control.queries.why import WhyAnswer, about
from tests.unit.beat import builders as b
from tests.unit.plotman.control.queries.test_why import seen

PLOT_ID = "6b4e7375" + "0" * 56
COPY = "/dst/plot (copy).plot"
REASON = f"this is plot 6b4e7375 under another name; it should be called plot-k32-x-{PLOT_ID}.plot"


def why(
    told: dict[str, Any], *plots: Any, stale: frozenset[Any] = frozenset(), archiving: bool = True
) -> WhyAnswer:
    """The answer about the copy, where the harvesters answer so."""
    copy = b.plot("plot (copy)", "/dst", state=PlotState.MISNAMED, reason=REASON, plot_id=PLOT_ID)
    harvesters = b.farm(**{host: [] for host in told})
    picture = seen(b.plotter(plots=(copy, *plots), archiving=archiving), harvesters=harvesters, stale=stale)
    asked = []

    def ask(hosts: Any, ids: Any) -> dict[str, Any]:
        asked.extend(hosts)
        assert set(ids) == {PLOT_ID}
        return {host: told[host] for host in hosts}

    (answer,) = about(misnamed.with_copies(picture.farm, explain(picture), ask), COPY)
    assert asked == [host for host in told if (Role.HARVESTER, host) not in stale]
    return answer


@pytest.mark.parametrize("archiving", [True, False])
def test_it_says_which_plot_it_is_and_how_to_call_it_and_advises_to_keep_it(archiving: bool) -> None:
    answer = why({"h1": PlotsFound()}, archiving=archiving)
    assert answer.text == f"{REASON}; no drive of a harvester has it"
    assert "Rename it" in answer.remedy
    assert "keep it" in answer.remedy


def test_it_says_where_the_plot_is_already() -> None:
    on_drive = PlotsFound(found=((PLOT_ID, "/farm/1/a.plot"), ("00" * 32, "/farm/1/b.plot")))
    assert why({"h1": on_drive}).text == (
        f"{REASON}; h1:/farm/1/a.plot has that id and is on its drive already"
    )
    beside = b.plot("a", "/dst", plot_id=PLOT_ID)
    assert why({"h1": PlotsFound()}, beside).text.startswith(
        f"{REASON}; p1:/dst/a.plot is the same plot by its id, "
    )


def test_it_says_of_whom_it_is_not_known() -> None:
    told = {"h1": PlotsFound(unread=("/farm/2",)), "h2": PlotmanError("silence"), "h3": PlotsFound()}
    answer = why(told, stale=frozenset({(Role.HARVESTER, "h3")}))
    assert answer.text == f"{REASON}; not known of h3, h1:/farm/2, h2"
    assert why({}).text == f"{REASON}; no harvester can be asked whether it has it"


def test_nobody_is_asked_where_no_plot_is_misnamed() -> None:
    picture = seen(b.plotter(plots=(b.plot("a", "/dst", plot_id=PLOT_ID),)))
    answers = list(explain(picture))
    asked = misnamed.with_copies(picture.farm, answers, lambda *_: pytest.fail("asked"))
    assert asked == answers


@pytest.mark.parametrize("state", [PlotState.FOREIGN, PlotState.MISNAMED, PlotState.REFUSED, PlotState.OPEN])
def test_no_file_that_may_be_a_plot_is_to_be_deleted(state: PlotState) -> None:
    assert "delete" not in REMEDIES[state.value].lower()
