"""What counts as standing still. Times in minutes; a plotter may stand still for 30."""

from __future__ import annotations

import pytest

from plotter_worker.host.stall_monitor import Sample, Stall, StallKind, Work, updated, verdict

LIMIT_S = 30 * 60


def sample(minute: float, cpu_s: float = 100, io: int | None = 5_000_000, **fields) -> Sample:
    return Sample(minute * 60, Work(cpu_s, io), **fields)


def after(*samples: Sample) -> Stall | None:
    standing = None
    for one in samples:
        standing = updated(standing, one)
    assert standing is not None
    return verdict(standing, LIMIT_S)


def test_a_plotter_that_shows_nothing_for_the_set_time_is_stalled() -> None:
    assert after(sample(0), sample(29)) is None
    stall = after(sample(0), sample(29), sample(31))
    assert stall is not None
    assert (stall.kind, stall.overdue) == (StallKind.SILENT, True)
    assert stall.text == "no line in its log, no processor time, no disk access for 31m 0s"


@pytest.mark.parametrize(
    "moves",
    [
        sample(20, cpu_s=108),
        sample(20, io=900_000_000),  # a phase on a hard disk
        sample(20, io=6_000_000, in_disk=True),
        sample(20, log_bytes=80),
    ],
)
def test_log_processor_and_drives_each_say_that_it_gets_on(moves: Sample) -> None:
    def at(minute: float) -> Sample:
        return sample(minute, moves.own.cpu_s, moves.own.io_bytes, log_bytes=moves.log_bytes)

    assert after(sample(0), moves, at(45)) is None
    assert after(sample(0), moves, at(45), at(51)) is not None


def test_a_program_s_idle_noise_is_no_work() -> None:
    noise = [sample(minute, cpu_s=100 + 0.03 * minute, io=5_000_000 + 500 * minute) for minute in range(32)]
    assert after(*noise) is not None


def test_where_the_kernel_tells_nothing_of_the_drives_the_rest_decides() -> None:
    assert after(sample(0, io=None), sample(31, io=None)) is not None
    assert after(sample(0, io=None), sample(31, cpu_s=110, io=None)) is None


def test_a_plotter_that_a_person_suspended_is_never_stalled_and_then_has_all_its_time_again() -> None:
    suspended = [sample(minute, suspended=True) for minute in (1, 100, 1000)]
    assert after(sample(0), *suspended) is None
    assert after(sample(0), *suspended, sample(1029)) is None
    assert after(sample(0), *suspended, sample(1031)) is not None
    words = "Retrying in five minutes."
    told = after(
        sample(0, waits_for=words),
        sample(1000, waits_for=words, suspended=True),
        sample(1001, waits_for=words),
    )
    assert told is not None
    assert not told.overdue


def test_a_hanging_drive_is_named_as_such() -> None:
    stall = after(sample(0), sample(5, in_disk=True), sample(31, in_disk=True))
    assert stall is not None
    assert stall.kind is StallKind.DISK


def test_the_plotter_s_own_words_count_at_once_and_are_overdue_later() -> None:
    words = "Only wrote 1 of 2 bytes. Retrying in five minutes."
    first = after(sample(0, waits_for=words))
    assert first == Stall(StallKind.WAITS, words, overdue=False)
    # Each try writes a little, and a line to the log.
    tries = [
        sample(5 * n, cpu_s=100 + n * 0.1, io=5_000_000 * n, log_bytes=n, waits_for=words) for n in range(7)
    ]
    assert after(*tries) == Stall(StallKind.WAITS, words, overdue=True)
    assert after(*tries, sample(35, log_bytes=99)) is None


def test_a_plotter_that_waits_for_one_plot_and_makes_the_next_is_busy() -> None:
    words = "Copy failed, retrying."
    stall = after(sample(0, waits_for=words), sample(40, cpu_s=100 + 40 * 60, waits_for=words))
    assert stall == Stall(StallKind.WAITS, words, overdue=True, busy=True)


def test_work_of_the_children_counts_once_it_is_looked_at() -> None:
    looked = [sample(0), sample(10, children=Work(7.0, None))]
    assert after(*looked, sample(31, children=Work(7.0, None))) is not None
    assert after(*looked, sample(31, children=Work(19.0, None))) is None
