"""The page of the farm: cards, bars, buttons, charts and tables, as values."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from common.model.figures import JOBS_MAX, LONGEST_NAME, PLOTS_MAX
from common.model.snapshot import (
    ArchiverSnapshot,
    DirState,
    Event,
    FinishedPlot,
    HarvesterSnapshot,
    Hold,
    PlotState,
    Tally,
)
from plotman.control.farm import FarmState
from plotman.control.queries.attention import needs
from plotman.flower.page import Button, Page
from plotman.flower.sections import page
from plotman.flower.trends import DayTotals, Trends
from tests.support import showcase
from tests.support.paper import T

GB = 10**9
NAMES = {"<script>alert(1)</script>", "'\" onmouseover=alert(1) x='", "h" * 4000}


def trends(**fields: object) -> Trends:
    """Of one day, on which these things happened."""
    return Trends((date(2026, 11, 22),), (DayTotals(**fields),), None, known=True)  # type: ignore[arg-type]


def buttons_of(found: Page) -> list[Button]:
    groups = [each.buttons for each in (*found.hosts, *found.drives)] + list(found.running.buttons)
    return [button for group in groups for button in group]


def test_the_page_shows_what_lies_on_the_drives() -> None:
    (section,) = [one for one in page(showcase.troubled()).sections if one.title.startswith("On the drives")]
    assert section.title == "On the drives (h1: read 1,508 of 1,900 files; no whole plots: 2 files)"
    assert section.table.rows[0] == ("k32 uncompressed", "pool key 9c9c9c9c", "812", "88.5 TB", "61.3%")


def test_a_farm_without_an_inventory_says_so() -> None:
    (section,) = [one for one in page(showcase.small()).sections if one.title == "On the drives"]
    assert (section.table.rows, section.empty) == ((), "No harvester has an inventory yet.")


def test_the_cards_say_how_the_farm_is() -> None:
    cards = {card.label: (card.value, card.kind) for card in page(showcase.troubled()).cards}
    assert cards["Hosts"] == ("3 of 4", "danger")
    assert cards["Running plots"] == ("6", "active")
    assert cards["Free space"] == ("6.3 TB", "")
    assert cards["Needs a hand"] == ("5", "danger")


def test_what_needs_a_hand_is_what_status_lists() -> None:
    farm = showcase.troubled()
    shown = page(farm).needs.lines
    assert [need.text for need in shown] == [need.text for need in needs(farm)]
    kinds = {need.text.partition(" (")[0]: need.kind for need in shown}
    assert kinds["h1:/mnt/farm/05: not mounted"] == "danger"
    assert kinds["plotter p3 is silent; last seen 3h 0m ago"] == "danger"
    assert kinds["p1: chia pid 4004 is stalled: waits for room in /mnt/dst/1"] == "warning"
    assert all(need.remedy or "evacuate it" in need.text for need in shown)


def test_what_an_operator_asked_for_is_no_alarm_and_says_how_to_end_it() -> None:
    found = page(showcase.troubled())
    assert {need.text: need.remedy for need in found.asked.lines} == {
        "p1: plot 17156075 in /mnt/tmp/1 is suspended": "`plotman resume 17156075 --host p1` continues it.",
        "p2: plotting is paused: new fan": "`plotman unpause plotting --host p2` ends the pause.",
    }
    farm = showcase.small()
    held = farm.plotters["p1"].model_copy(update={"plotting": False, "paused": Hold(), "drained": Hold()})
    made = page(replace(farm, plotters={"p1": held}))
    cards = {card.label: card for card in made.cards}
    assert (made.needs.lines, [need.kind for need in made.asked.lines]) == ((), [""])
    needed, _, asked = _html(made).partition("<h2>Asked for by operators</h2>")
    assert "Nothing: all is well." in needed
    assert "`plotman undrain p1`" in asked.replace("<code>", "`").replace("</code>", "`")
    assert (cards["Needs a hand"].value, cards["Needs a hand"].kind) == ("0", "success")


def test_of_a_drive_that_is_lost_a_drain_is_still_shown() -> None:
    farm = showcase.troubled()
    harvester = farm.harvesters["h1"]
    drained = tuple(
        drive.model_copy(update={"drained": Hold(reason="bad cable")}) if drive.lost else drive
        for drive in harvester.drives
    )
    farm = replace(farm, harvesters={"h1": harvester.model_copy(update={"drives": drained})})
    made = page(farm)
    assert "h1:/mnt/farm/05: not mounted" in [need.text for need in made.needs.lines]
    assert [need for need in made.asked.lines if need.text.startswith("h1: /mnt/farm/05 is drained")]


def flooded(farm: FarmState) -> FarmState:
    """With a host that writes as much as the notice board takes, of which nothing is true."""
    jobs = tuple(showcase.job(n, "/t", task_id=f"x{n}", stalled="!" * 900) for n in range(JOBS_MAX))
    plots = tuple(
        FinishedPlot(path=f"/d/{n}", size_bytes=1, state=PlotState.FOREIGN, since=T, reason="!" * 900)
        for n in range(PLOTS_MAX)
    )
    problems = tuple(f"{n}{'!' * 9_000}" for n in range(256))
    plotter = showcase.plotter("liar", showcase.tmp_dir("/t"), jobs=jobs, plots=plots, problems=problems)
    drives = tuple(showcase.drive(f"/{n}/{'d' * 300}", 0.5, state=DirState.MISSING) for n in range(15_000))
    harvester = HarvesterSnapshot(host="liar", at=T, drives=drives)
    return replace(
        farm,
        plotters={"liar": plotter, **farm.plotters},
        harvesters={"liar": harvester, **farm.harvesters},
    )


def test_one_host_with_thousands_of_rows_leaves_the_rows_of_the_others_and_the_page_small() -> None:
    honest = showcase.large(jobs=400, drives=200, hosts=40)
    made = page(flooded(honest), orders=True)
    host = made.running.table.columns.index("host")
    assert sum(row[host] != "liar" for row in made.running.table.rows) == 400
    assert sum(drive.host != "liar" for drive in made.drives) == 200
    assert len(made.running.table.rows) == len(made.running.links) == len(made.running.buttons) == 500
    assert made.running.more == "and 900 more; `plotman status` shows all"
    assert made.more_drives == "and 14,700 more; `plotman dirs` shows all"
    assert made.needs.more.endswith("more; `plotman status` shows all")
    assert len(_html(made)) < 2_500_000


def test_of_too_many_rows_those_that_need_a_hand_are_shown() -> None:
    jobs = tuple(showcase.job(n, "/t", task_id=f"t{n}") for n in range(900))
    jobs += (showcase.job(0, "/t", task_id="stalled", stalled="no space"),)
    lost = showcase.drive("/lost", 0.5, state=DirState.MISSING)
    drives = (*(showcase.drive(f"/{n}", 0.5) for n in range(900)), lost)
    farm = replace(
        showcase.small(),
        plotters={"p1": showcase.plotter("p1", showcase.tmp_dir("/t"), jobs=jobs)},
        harvesters={"h1": HarvesterSnapshot(host="h1", at=T, drives=drives)},
    )
    made = page(farm, orders=True)
    assert "stalled" in made.running.links
    assert "/lost" in {drive.path for drive in made.drives}
    for task_id, buttons in zip(made.running.links, made.running.buttons, strict=True):
        assert {button.task_id for button in buttons} == {task_id}, "each row has its own buttons"


@pytest.mark.parametrize("absurd", [-1, -(10**18), 2**62])
def test_figures_of_one_host_that_cannot_be_true_do_not_spoil_the_cards(absurd: int) -> None:
    farm = showcase.troubled()
    figures = {"day_count": absurd, "day_bytes": absurd, "week_count": absurd, "week_bytes": absurd}
    liar = {
        "host": "liar", "at": T, "tally": {**figures, "since": T}, "transfers": [],
        "drives": [{"path": "/x", "state": DirState.OK, "free_bytes": absurd, "total_bytes": absurd}],
    }  # fmt: skip
    archiver, harvester = ArchiverSnapshot(**liar), HarvesterSnapshot(**liar)  # type: ignore[arg-type]
    plotter = showcase.plotter("liar", showcase.tmp_dir("/t"), tally=Tally(**figures))  # type: ignore[arg-type]
    lied_to = replace(
        farm,
        plotters={**farm.plotters, "liar": plotter},
        archivers={**farm.archivers, "liar": archiver},
        harvesters={**farm.harvesters, "liar": harvester},
    )

    def figures_of(seen: FarmState) -> dict[str, str]:
        return {card.label: card.value for card in page(seen).cards if card.label != "Hosts"}

    assert figures_of(lied_to) == figures_of(farm)


def test_folders_of_one_file_system_share_their_free_space() -> None:
    drives = tuple(showcase.drive(f"/mnt/{name}", 0.5, device="8:1") for name in "ab")
    other = showcase.drive("/mnt/c", 0.5, device="8:2")
    snapshot = HarvesterSnapshot(host="p1", at=T, drives=(*drives, other))
    farm = replace(
        showcase.small(),
        harvesters={"p1": snapshot, "p2": snapshot.model_copy(update={"host": "p2", "drives": drives})},
    )
    cards = {card.label: card.value for card in page(farm).cards}
    assert cards["Free space"] == "27.0 TB", "three file systems of 9 TB, on two hosts"


def test_a_drive_is_a_bar_and_says_when_it_is_full_at_its_pace() -> None:
    found = page(showcase.troubled(), trends(arrived={("h1", "/mnt/farm/02"): 630 * GB}))
    shown = {drive.path: (drive.percent, drive.state, drive.full_in, drive.kind) for drive in found.drives}
    assert shown == {
        "/mnt/farm/01": (100, "full", "", "full"),
        "/mnt/farm/02": (64, "active", "full in 10 days", ""),
        "/mnt/farm/03": (20, "draining", "", "warning"),
        "/mnt/farm/04": (None, "disabled", "", "warning"),
        "/mnt/farm/05": (None, "not mounted", "", "danger"),
    }


def test_the_charts_are_of_the_class_with_most_plots() -> None:
    kinds = {("chia", 32, 0): [(7200.0, None, 3600.0, 1.0)] * 2, ("madmax", 32, 0): [(1.0, 1.0, 1.0, 1.0)]}
    found = page(showcase.small(), trends(made=3, archived_bytes=2**40, phases=kinds))
    assert [(chart.title, chart.figure) for chart in found.charts] == [
        ("Plots per day", "3 in 30 days"),
        ("TiB archived per day", "1.00 TiB in 30 days"),
        ("Mean time of phases, chia k32", "up to 2.0 h"),
    ]
    assert "Nov 22, phase 1: 2 h" in found.charts[2].svg
    assert "phase 2:" not in found.charts[2].svg, "not known"


def test_the_charts_of_a_young_farm_begin_with_its_first_plot_but_a_week_ago_at_least() -> None:
    def first_label(made_at: int) -> str:
        days = tuple(date(2026, 11, 1) + timedelta(days=number) for number in range(30))
        totals = tuple(DayTotals(made=int(number >= made_at)) for number in range(30))
        chart = page(showcase.small(), Trends(days, totals, None, known=True)).charts[0]
        return chart.svg.partition("<title>")[2].partition(":")[0]

    assert [first_label(made_at) for made_at in (29, 20, 0)] == ["Nov 24", "Nov 21", "Nov 01"]


def test_without_the_right_to_order_there_is_no_button() -> None:
    assert buttons_of(page(showcase.troubled(), orders=False)) == []


def test_a_button_fits_the_state_and_silent_hosts_have_none() -> None:
    found = buttons_of(page(showcase.troubled(), orders=True))
    assert not [button for button in found if button.host == "p3"]
    stopped = [button.action for button in found if button.task_id == "task-0005"]
    running = [button.action for button in found if button.task_id == "task-0001"]
    drives = {button.place: button.action for button in found if button.place}
    assert stopped == ["log", "resume", "kill"]
    assert running == ["log", "suspend", "kill"]
    assert drives["/mnt/farm/03"] == "undrain"
    assert drives["/mnt/farm/02"] == "drain"
    assert "/mnt/farm/04" not in drives, "its owner disabled it"


def test_a_drive_whose_name_the_page_cuts_has_no_button() -> None:
    """Nobody could read what it does."""
    drives = (showcase.drive("/" + "d" * 1_000, 0.5), showcase.drive("/short", 0.5))
    harvester = HarvesterSnapshot(host="h1", at=T, drives=drives)
    made = page(replace(showcase.small(), harvesters={"h1": harvester}), orders=True)
    assert {drive.path[:6]: bool(drive.buttons) for drive in made.drives} == {"/ddddd": False, "/short": True}
    assert made.drives[0].path.endswith("…")


def test_the_newest_event_comes_first() -> None:
    events = page(showcase.small(), events=[event for _, event in showcase.EVENTS]).events
    assert events[0].text == "p2 starts no more plots: new fan", "the host is named once"
    assert events[1].text.startswith("p2: 6a99b44c plot failed")
    assert [event.kind for event in events] == ["", "danger", "success", "success", ""]


def _html(made: Page) -> str:
    """The whole fragment, as the browser gets it."""
    from flower import urls

    from plotman.flower.install import install

    install()
    template = urls.settings["template_loader"].load("farm_tables.html")
    text = template.generate(page=made, reverse_url=lambda *parts: "/".join(("", *parts)))
    return str(text.decode())


@pytest.mark.parametrize("name", sorted(NAMES), ids=["quote", "tag", "long"])
def test_names_that_hosts_forge_are_text_on_the_page(name: str) -> None:
    short = name[:LONGEST_NAME]
    job = showcase.job(1, f"/{name}", task_id=short, plotter=name)
    plotter = showcase.plotter(short, showcase.tmp_dir(f"/{name}"), jobs=(job,))
    harvester = HarvesterSnapshot(
        host=short, at=T, drives=(showcase.drive(f"/{name}", 0.5),), problems=(name,)
    )
    farm = replace(showcase.small(), plotters={short: plotter}, harvesters={short: harvester})
    kinds = {(name, 32, 0): [(1.0, 1.0, 1.0, 1.0)]}
    event = Event(kind=name, host=name, at=T, text=name)
    made = page(farm, trends(phases=kinds, arrived={(name, f"/{name}"): 1}), [event], orders=True)
    html = _html(made)
    assert "<script" not in html
    assert "onmouseover=alert(1) x='" not in html.replace("&#x27;", "").replace("&#39;", "")
    assert len(html) < 150_000, "a long name is cut"
