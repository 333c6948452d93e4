"""When a target is notified, and what of it comes in one message."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.config.sections.notifications import NotificationTarget
from common.model.notification_kinds import KINDS
from plotman.notifications import conditions, messages, notifier
from plotman.notifications.notification import AS_THEY_HAPPEN, Notification, of_event
from plotman.notifications.queue import RETRIES_S, TargetQueue, TargetRules, delivered, due, failed, rules_of
from tests.support.full_farm import ID

T = datetime(2026, 11, 22, 12, tzinfo=UTC)
NOON, NIGHT = T, T.replace(hour=3)
Sent = list[tuple[int, list[str]]]
ANY = frozenset({"plot-done", "drive-lost"})


def note(number: int, kind: str = "plot-done") -> Notification:
    return Notification(id=str(number), kind=kind, host="p", at=T, text=f"text {number}", plot_id=ID)


def box(*notes: Notification, **changes: Any) -> TargetQueue:
    return TargetQueue(waiting=notes, **changes)


def numbers(told: tuple[Notification, ...]) -> list[str]:
    return [one.id for one in told]


DONE, LOST, FAILED = note(1), note(2, "drive-lost"), note(3, "plot-failed")
QUIET = "22:00-07:00"
AN_HOUR_OF_TWO = (T - timedelta(minutes=50), T - timedelta(minutes=1))


@pytest.mark.parametrize(
    ("waiting", "rules", "local", "told"),
    [
        pytest.param(box(), TargetRules(ANY), NOON, [], id="nothing"),
        pytest.param(box(DONE), TargetRules(ANY), NOON, ["1"], id="at once"),
        pytest.param(
            box(DONE, LOST), TargetRules(ANY), NOON, ["1", "2"], id="what is due together is one message"
        ),
        pytest.param(box(DONE, LOST), TargetRules(ANY, one_by_one=True), NOON, ["1"], id="a hook gets each"),
        pytest.param(box(DONE, LOST), TargetRules(ANY, QUIET), NIGHT, [], id="nothing in quiet hours"),
        pytest.param(box(DONE, LOST), TargetRules(ANY, QUIET), NOON, ["1", "2"], id="a summary after them"),
        pytest.param(
            box(DONE, LOST), TargetRules(ANY, QUIET, True), NIGHT, ["2"], id="what cannot wait passes"
        ),
        pytest.param(
            box(DONE, LOST, sent_at=AN_HOUR_OF_TWO),
            TargetRules(ANY, at_most=2),
            NOON,
            [],
            id="at most two an hour",
        ),
        pytest.param(
            box(DONE, sent_at=(T - timedelta(minutes=61), T)),
            TargetRules(ANY, at_most=4),
            NOON,
            ["1"],
            id="room again",
        ),
        pytest.param(
            box(DONE, LOST, FAILED, sent_at=AN_HOUR_OF_TWO),
            TargetRules(ANY, at_most=4),
            NOON,
            ["2", "3"],
            id="half of the messages are for what needs an operator",
        ),
        pytest.param(
            box(DONE, LOST, sent_at=AN_HOUR_OF_TWO),
            TargetRules(ANY, critical_always=True, at_most=2),
            NOON,
            ["2"],
            id="what cannot wait passes the limit",
        ),
        pytest.param(
            box(DONE, tries={"1": 1}, retry_at=T + timedelta(seconds=1)),
            TargetRules(ANY),
            NOON,
            [],
            id="not before the pause",
        ),
        pytest.param(
            box(DONE, tries={"1": 1}, retry_at=T), TargetRules(ANY), NOON, ["1"], id="after the pause"
        ),
        pytest.param(
            box(DONE, LOST, tries={"1": 5}, retry_at=T + timedelta(hours=1), others_at=T),
            TargetRules(ANY),
            NOON,
            ["2"],
            id="what was not tried waits for no other",
        ),
        pytest.param(
            box(DONE, LOST, tries={"1": 1}, others_at=T + timedelta(seconds=1), retry_at=T),
            TargetRules(ANY),
            NOON,
            ["1"],
            id="but ten seconds after a failure",
        ),
        pytest.param(
            box(DONE, LOST, tries={"1": 1}), TargetRules(ANY, one_by_one=True), NOON, ["2"], id="fresh first"
        ),
    ],
)
def test_what_is_due(waiting: TargetQueue, rules: TargetRules, local: datetime, told: list[str]) -> None:
    assert numbers(due(waiting, rules, T, local)) == told


@pytest.mark.parametrize(
    ("quiet", "hour", "told"),
    [
        (None, 3, True),
        (QUIET, 21, True),
        (QUIET, 22, False),
        (QUIET, 0, False),
        (QUIET, 6, False),
        (QUIET, 7, True),
        ("Mon-Fri 22:00-07:00", 23, True),
    ],
)
def test_quiet_hours_may_pass_midnight_and_be_for_some_days(quiet: str | None, hour: int, told: bool) -> None:
    sunday = T.replace(hour=hour)
    assert bool(due(box(DONE), TargetRules(ANY, quiet), T, sunday)) is told


def test_every_kind_is_made_of_an_event_or_is_a_condition_that_lasts() -> None:
    """One that is neither is offered in plotman.yaml, and never comes."""
    lasting = "".join(inspect.getsource(module) for module in (conditions, notifier))
    never = {kind for kind in KINDS if kind not in AS_THEY_HAPPEN and f'"{kind}"' not in lasting}
    assert never == {"test"}, "which `plotman notify test` sends"


def test_what_fails_is_tried_with_growing_pauses_and_then_dropped() -> None:
    now, waiting, pauses = T, box(DONE, LOST), []
    while True:
        waiting, dropped = failed(waiting, (DONE,), now)
        if dropped:
            break
        assert waiting.retry_at is not None
        pauses.append((waiting.retry_at - now).total_seconds())
        now = waiting.retry_at
    assert pauses == list(RETRIES_S)
    assert (numbers(dropped), numbers(waiting.waiting), waiting.tries) == (["1"], ["2"], {})


def run(waiting: TargetQueue, rules: TargetRules, fails: Callable[[tuple[Notification, ...]], bool]) -> Sent:
    """Send until nothing waits. Returns (seconds after the start, ids) of each message that was delivered."""
    now, sent = T, []
    while waiting.waiting and now < T + timedelta(days=2):
        message = due(waiting, rules, now, NOON)
        if not message:
            now += timedelta(seconds=1)
        elif fails(message):
            waiting, _ = failed(waiting, message, now)
        else:
            sent.append((int((now - T).total_seconds()), numbers(message)))
            waiting = delivered(waiting, message, now)
    return sent


def test_one_that_a_service_refuses_is_found_by_halves_and_the_others_arrive_in_minutes() -> None:
    sent = run(
        box(*map(note, range(30))), TargetRules(ANY), lambda message: "7" in [one.id for one in message]
    )
    assert sorted(int(number) for _, message in sent for number in message) == sorted({*range(30)} - {7})
    assert len(sent) < 10
    assert sent[-1][0] <= 180


def test_one_that_a_hook_refuses_delays_none_by_more_than_ten_seconds() -> None:
    sent = run(
        box(*map(note, range(5))), TargetRules(ANY, one_by_one=True), lambda message: message[0].id == "1"
    )
    assert sent == [(0, ["0"]), (10, ["2"]), (10, ["3"]), (10, ["4"])]


def test_after_an_outage_few_messages_bring_all() -> None:
    begun = [0]

    def fails(message: tuple[Notification, ...]) -> bool:
        begun[0] += 1
        return begun[0] <= 6

    sent = run(box(*map(note, range(30))), TargetRules(ANY), fails)
    assert sorted(int(number) for _, message in sent for number in message) == list(range(30))
    assert len(sent) <= 5


def test_texts_of_other_machines_are_cleaned_and_cut() -> None:
    said = Notification(id="1", kind="plot-done", host="p\n", at=T, text="\0\x1b]0;x\x07\u202e" + 2**15 * "x")
    assert (said.host, len(said.text)) == ("p\\n", 1000)
    assert said.text.startswith("\\x00\\x1b]0;x\\x07\\u202exx")


def test_what_is_delivered_is_gone_and_counts_for_an_hour() -> None:
    old = box(DONE, LOST, sent_at=(T - timedelta(minutes=61),), tries={"1": 2, "2": 1}, retry_at=T, most=1)
    after = delivered(old, (DONE,), T)
    assert (numbers(after.waiting), after.sent_at, after.tries) == (["2"], (T,), {"2": 1})
    assert (after.retry_at, after.most) == (None, None)


def test_a_url_is_told_at_most_20_times_an_hour_and_a_command_each_time_unless_said_otherwise() -> None:
    url = rules_of(NotificationTarget.model_validate({"url": "json://localhost"}))
    hook = rules_of(NotificationTarget.model_validate({"command": ["true"]}))
    assert (url.at_most, url.one_by_one) == (20, False)
    assert (hook.at_most, hook.one_by_one) == (None, True)
    assert "drive-lost" in url.kinds and "plot-done" not in url.kinds


def test_one_message_has_a_sentence_and_several_have_a_list() -> None:
    assert messages.title([LOST]) == "plotman: drive lost (p)"
    assert messages.body([LOST]) == "text 2 (plot 6b4e7375)"
    many = [note(number) for number in range(40)] + [LOST]
    assert messages.title(many) == "plotman: 40x plot done, 1x drive lost"
    assert messages.body(many).splitlines()[-1] == "and 11 more"


def test_a_plot_that_ended_is_told_once_however_often_it_is_said() -> None:
    from common.model.snapshot import Event

    said = [
        Event(
            kind="plot-done", host="p", at=T + timedelta(seconds=late), text="done", task_id="t1", plot_id=ID
        )
        for late in (0, 60)
    ]
    first, again = map(of_event, said)
    assert first and again and first.id == again.id
    assert of_event(said[0].model_copy(update={"kind": "plot-phase"})) is None
