"""What the journal of replaced plots counts."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from common.model.replot_order import ReplotOrder
from harvester_worker.replot import ledger
from harvester_worker.replot.journal import Credit, Journal, Victim, VictimStep

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
DAY = date(2026, 12, 1)


def order(**changes: Any) -> ReplotOrder:
    return ReplotOrder.read(**{"host": "h1", "classes": [{"name": "og", "k": 32}], **changes})


def credit(letter: str = "a", size_bytes: int = 10, **changes: Any) -> Credit:
    plot = {"plot_id": letter * 64, "drive": "/d1", "name": f"{letter}.gplot", "inode": 7}
    return Credit(**{**plot, "size_bytes": size_bytes, "left_bytes": size_bytes, **changes})


def victim(size_bytes: int, **uses: int) -> Victim:
    return Victim(
        drive="/d1",
        name="old.plot",
        class_name="og",
        plot_id="cc",
        size_bytes=size_bytes,
        inode=1,
        mtime_ns=1,
        uses={letter * 64: taken for letter, taken in uses.items()},
    )


def begun(*credits: Credit) -> Journal:
    journal = ledger.ordered(Journal(), order(), NOW)
    for one in credits:
        journal = ledger.landed(journal, one, counts=True)
    return journal


def test_without_an_order_nothing_is_counted() -> None:
    assert ledger.landed(Journal(), credit(), counts=True) == Journal()
    assert ledger.refused(Journal(), "/d1", "bad") == Journal()


def test_an_old_plot_goes_for_the_oldest_new_plots() -> None:
    credits = [credit("a", 10), credit("b", 10), credit("c", 10)]
    assert ledger.uses(credits, 15) == {"a" * 64: 10, "b" * 64: 5}
    assert ledger.uses(credits, 30) == {"a" * 64: 10, "b" * 64: 10, "c" * 64: 10}
    assert ledger.uses(credits, 31) is None
    assert ledger.uses([], 1) is None


def test_what_an_old_plot_went_for_is_used_up() -> None:
    journal = ledger.chosen(begun(credit("a"), credit("b")), victim(15, a=10, b=5))
    journal = ledger.settled(ledger.deleting(journal, order(), journal.victim or victim(1)), DAY)
    assert [(one.plot_id[0], one.left_bytes) for one in journal.credits] == [("b", 5)]
    assert (journal.deleted_bytes, journal.deleted_plots, journal.new_bytes) == (15, 1, 20)
    assert journal.last is not None
    assert journal.last.step is VictimStep.DELETING
    assert ledger.settled(journal, DAY) == journal, "once"


@pytest.mark.parametrize(
    "wrong", [victim(15, a=10), victim(15, a=15), victim(5, x=5), victim(0), victim(10, a=10, b=0)]
)
def test_an_old_plot_is_chosen_for_exactly_its_bytes_of_what_counts(wrong: Victim) -> None:
    with pytest.raises(ValueError, match="bytes"):
        ledger.chosen(begun(credit("a"), credit("b")), wrong)


def test_one_old_plot_is_in_work_at_a_time() -> None:
    journal = ledger.chosen(begun(credit("a"), credit("b")), victim(10, a=10))
    with pytest.raises(ValueError, match="is in work"):
        ledger.chosen(journal, victim(10, b=10))


@pytest.mark.parametrize(
    "changed", [{"paused": ""}, {"order": None}, {"order": order(max_per_day=1)}, {"victim": None}]
)
def test_a_file_is_unlinked_only_under_the_order_that_chose_it(changed: dict[str, Any]) -> None:
    chosen = victim(10, a=10)
    journal = ledger.chosen(begun(credit("a")), chosen)
    assert ledger.deleting(journal, order(), chosen).victim is not None
    with pytest.raises(ValueError, match="is not in work"):
        ledger.deleting(journal.model_copy(update=changed), order(), chosen)


def test_another_order_begins_anew_and_the_same_classes_keep_what_was_counted() -> None:
    journal = ledger.settled(ledger.chosen(begun(credit("a"), credit("b")), victim(10, a=10)), DAY)
    journal = ledger.refused(journal.model_copy(update={"done": True, "paused": "x"}), "/d1", "bad")
    same = ledger.ordered(
        journal, order(max_per_day=5, classes=[{"name": "og", "k": 32, "not_before": None}]), NOW
    )
    assert (same.new_bytes, same.deleted_bytes, same.done, same.paused) == (20, 10, False, None)
    assert same.refused == {}
    other = ledger.ordered(journal, order(classes=[{"name": "og", "k": 33}]), NOW)
    assert (other.new_bytes, other.deleted_bytes, other.credits) == (0, 0, ())
    assert other.arrived == frozenset()
    assert other.deleted_on(DAY) == 1, "the day's number stays"
    assert ledger.stopped(journal).deleted_on(DAY) == 1


def test_an_order_without_a_class_that_is_done_keeps_what_was_counted() -> None:
    og, c7 = {"name": "og", "k": 32, "levels": [0]}, {"name": "c7", "k": 32, "levels": [7]}
    both = ledger.ordered(Journal(), order(classes=[og, c7]), NOW)
    journal = ledger.landed(both, credit("a"), counts=True)
    journal = ledger.settled(ledger.chosen(journal, victim(4, a=4)), DAY)
    less = ledger.ordered(journal, order(classes=[c7]), NOW)
    assert (less.credits, less.arrived, less.since) == (journal.credits, journal.arrived, journal.since)
    assert (less.new_bytes, less.deleted_bytes) == (10, 4)
    assert ledger.ordered(less, order(classes=[c7, og]), NOW).arrived == frozenset(), "a class more"
    narrower = ledger.ordered(less, order(classes=[{**c7, "levels": [8]}]), NOW)
    assert narrower.credits == (), "another class of the same name"


def test_a_plot_in_work_outlives_its_order() -> None:
    journal = ledger.chosen(begun(credit("a")), victim(10, a=10))
    assert ledger.stopped(journal).victim == journal.victim
    assert ledger.ordered(journal, order(classes=[{"name": "x", "k": 33}]), NOW).victim == journal.victim


def test_a_clock_that_is_set_back_begins_no_new_day() -> None:
    journal = ledger.settled(ledger.chosen(begun(credit("a"), credit("b")), victim(10, a=10)), DAY)
    assert journal.deleted_on(date(2026, 11, 30)) == 1
    assert journal.deleted_on(date(2026, 12, 2)) == 0
    again = ledger.settled(ledger.chosen(journal, victim(10, b=10)), date(2026, 11, 30))
    assert (again.day, again.day_plots) == (DAY, 2)


def test_a_drive_that_refused_a_plot_is_open_again_after_the_next_one() -> None:
    journal = ledger.refused(ledger.refused(begun(), "/d1", "bad"), "/d2", "bad")
    assert ledger.landed(journal, credit("a"), counts=False).refused == {"/d2": "bad"}
    assert ledger.landed(begun(credit("a")), credit("a"), counts=True).refused == {}


def test_the_lists_of_the_journal_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "CREDITS_MOST", 2)
    monkeypatch.setattr(ledger, "ARRIVED_MOST", 3)
    journal = begun(*(credit(letter) for letter in "abcdef"))
    assert (len(journal.credits), len(journal.arrived), journal.new_plots) == (2, 3, 2)


def test_where_too_many_new_plots_count_the_largest_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny ones, for which no old plot can go, would keep all others from counting."""
    monkeypatch.setattr(ledger, "CREDITS_MOST", 2)
    full = begun(credit("a", 3), credit("b", 5))
    larger = ledger.landed(full, credit("c", 90), counts=True)
    assert [one.plot_id[0] for one in larger.credits] == ["b", "c"]
    assert larger.new_bytes == 95, "what is forgotten lets nothing go"
    assert ledger.account(larger, DAY).unused_bytes == 95
    assert ledger.landed(full, credit("d", 3), counts=True).credits == full.credits
    in_work = ledger.chosen(full, victim(3, a=3))
    kept = ledger.landed(in_work, credit("c", 90), counts=True)
    assert [one.plot_id[0] for one in kept.credits] == ["a", "c"]


def test_new_plots_that_are_lost_make_room_for_others_and_bring_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ledger, "CREDITS_MOST", 2)
    full = begun(credit("a"), credit("b"))
    journal = ledger.dropped(full, {"a" * 64})
    assert [one.plot_id[0] for one in journal.credits] == ["b"]
    assert ledger.account(journal, DAY).unused_bytes == 10
    again = ledger.landed(journal, credit("a", inode=9), counts=True)
    assert again.credits == journal.credits, "it has counted once"
    assert ledger.landed(again, credit("c"), counts=True).new_plots == 3
    in_work = ledger.chosen(full, victim(10, a=10))
    assert ledger.dropped(in_work, {"a" * 64}).credits == full.credits


def test_a_plot_that_arrives_again_while_an_old_one_goes_for_it_changes_nothing() -> None:
    journal = ledger.chosen(begun(credit("a"), credit("b")), victim(10, a=10))
    again = ledger.landed(journal, credit("a", inode=9), counts=True)
    assert again.credits == journal.credits
    other = ledger.landed(journal, credit("b", inode=9), counts=True)
    assert [one.inode for one in other.credits] == [7, 9]
    assert other.new_bytes == journal.new_bytes


def test_a_plot_that_arrives_again_and_is_not_proved_keeps_no_credit_for_its_file() -> None:
    journal = begun(credit("a"))
    assert ledger.landed(journal, credit("a", inode=9), counts=False) == journal
    assert [one.inode for one in journal.credits] == [7]


def test_a_plot_that_arrives_again_after_some_of_it_was_used_brings_nothing_more() -> None:
    journal = ledger.settled(ledger.chosen(begun(credit("a")), victim(4, a=4)), DAY)
    again = ledger.landed(journal, credit("a", inode=9), counts=True)
    assert again == journal
    assert [one.left_bytes for one in again.credits] == [6]


def test_only_new_plots_whose_files_were_seen_count_as_unused() -> None:
    journal = begun(credit("a", 10), credit("b", 20))
    assert ledger.account(journal, DAY).unused_bytes == 30
    assert ledger.account(journal, DAY, {"b" * 64}).unused_bytes == 20
    assert ledger.account(journal, DAY, set()).unused_bytes == 0
