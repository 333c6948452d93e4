"""The page of the farm: cards, bars, buttons, charts and tables, as values."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from common.model.snapshot import Event, HarvesterSnapshot, Hold
from plotman.flower.sections import Button, Page, page
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


def test_what_needs_a_hand_is_what_status_lists_and_then_what_the_notes_tell_beyond_it() -> None:
    shown = page(showcase.troubled()).needs
    assert [(need.text, need.remedy, need.kind) for need in shown[:2]] == [
        (
            "h1:/mnt/farm/05: not mounted",
            "Mount or repair it; `plotman dirs` shows all drives.",
            "danger",
        ),
        ("plotter p3 is silent; last seen 3h 0m ago", "", "warning"),
    ]
    assert not [need for need in shown if need.text == "h1: /mnt/farm/05 is not mounted."], "said once"


def test_of_a_drive_that_is_lost_a_drain_is_still_shown() -> None:
    farm = showcase.troubled()
    harvester = farm.harvesters["h1"]
    drained = tuple(
        drive.model_copy(update={"drained": Hold(reason="bad cable")}) if drive.lost else drive
        for drive in harvester.drives
    )
    farm = replace(farm, harvesters={"h1": harvester.model_copy(update={"drives": drained})})
    texts = [need.text for need in page(farm).needs]
    assert "h1:/mnt/farm/05: not mounted" in texts
    assert [text for text in texts if text.startswith("h1: /mnt/farm/05 is drained")]


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


def test_the_newest_event_comes_first() -> None:
    events = page(showcase.small(), events=[event for _, event in showcase.EVENTS]).events
    assert events[0].text == "p2: p2 starts no more plots: new fan"
    assert [event.kind for event in events] == ["", "danger", "success", "success", ""]


@pytest.mark.parametrize("name", sorted(NAMES), ids=["quote", "tag", "long"])
def test_names_that_hosts_forge_are_text_on_the_page(name: str) -> None:
    """The whole fragment, as the browser gets it."""
    from flower import urls

    from plotman.flower.install import install

    install()
    plotter = showcase.plotter(
        name, showcase.tmp_dir(f"/{name}"), jobs=(showcase.job(1, f"/{name}", task_id=name, plotter=name),)
    )
    harvester = HarvesterSnapshot(
        host=name, at=T, drives=(showcase.drive(f"/{name}", 0.5),), problems=(name,)
    )
    farm = replace(showcase.small(), plotters={name: plotter}, harvesters={name: harvester})
    kinds = {(name, 32, 0): [(1.0, 1.0, 1.0, 1.0)]}
    event = Event(kind=name, host=name, at=T, text=name)
    made = page(farm, trends(phases=kinds, arrived={(name, f"/{name}"): 1}), [event], orders=True)
    template = urls.settings["template_loader"].load("farm_tables.html")
    html = template.generate(page=made, reverse_url=lambda *parts: "/".join(("", *parts))).decode()
    assert "<script" not in html
    assert "onmouseover=alert(1) x='" not in html.replace("&#x27;", "").replace("&#39;", "")
    assert len(html) < 150_000, "a long name is cut"
