"""Which rows of a long table are shown."""

from __future__ import annotations

from plotman.control.shares import fair_share


def test_a_table_that_is_short_enough_is_shown_whole() -> None:
    assert fair_share(["a", "b"], [1, 0], most=2) == [0, 1]


def test_one_host_with_thousands_of_rows_leaves_the_rows_of_all_others() -> None:
    hosts = ["liar"] * 9_000 + ["p1", "p2"] * 20
    shown = fair_share(hosts, most=60)
    assert shown == [*range(20), *range(9_000, 9_040)]


def test_of_a_host_the_rows_that_matter_most_are_shown_in_the_order_of_the_table() -> None:
    hosts = ["a", "a", "a", "b", "b"]
    assert fair_share(hosts, [2, 1, 0, 1, 0], most=3) == [1, 2, 4]


def test_more_hosts_than_rows_show_one_row_each_as_far_as_they_go() -> None:
    assert fair_share([str(host) for host in range(9)], most=4) == [0, 1, 2, 3]
