from __future__ import annotations

import pytest

from plotman.up.keeper import Pauses, how_it_ended


def test_pauses_double_up_to_the_longest_for_what_crashes_at_once() -> None:
    pauses, pause_s, seen = Pauses(), None, []
    for _ in range(9):
        pause_s = pauses.after(pause_s, lived_s=0.1)
        seen.append(pause_s)
    assert seen == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


@pytest.mark.parametrize(("lived_s", "pause_s"), [(0, 16), (59.9, 16), (60, 0.5), (3600, 0.5)])
def test_a_minute_of_life_is_a_new_beginning(lived_s: float, pause_s: float) -> None:
    assert Pauses().after(8, lived_s) == pause_s


@pytest.mark.parametrize(
    ("returncode", "words"),
    [(0, "exit code 0"), (1, "exit code 1"), (-9, "signal SIGKILL"), (-99, "signal 99")],
)
def test_how_a_process_ended_is_said_in_words(returncode: int, words: str) -> None:
    assert how_it_ended(returncode) == words
