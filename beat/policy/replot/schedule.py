"""When the classes go at a given pace, and what the farm's plots are worth meanwhile. Pure.

Times are days from now. Where a class takes many days, half of them before the day on which it begins to pay
and half after it lose least.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from beat.policy.replot.planner import ClassPlan
from beat.policy.replot.worth import GONE_EPOCHS, survival_after

# Days after the fork on which old proofs still count.
GONE_DAYS = GONE_EPOCHS - 1
YEAR_DAYS = 256  # over which the mean is taken


@dataclass(frozen=True, slots=True)
class Span:
    """When a class goes, in days from now."""

    begins: float
    ends: float

    def share_at(self, day: float) -> float:
        """Share of the class that has gone, from 0 to 1."""
        if day >= self.ends:
            return 1.0
        return 0.0 if day <= self.begins else (day - self.begins) / (self.ends - self.begins)


@dataclass(frozen=True, slots=True)
class When:
    """From when classes go.

    fork_day: days from now until the fork; negative: it is past; None: not known.
    from_day: days from now; nothing goes earlier.
    if_it_pays: whether each class waits for the time that loses least.
    """

    fork_day: float | None
    from_day: float = 0.0
    if_it_pays: bool = True

    @property
    def first_day(self) -> float | None:
        """When the first class may go; None: not known."""
        if not self.if_it_pays:
            return max(0.0, self.from_day)
        return None if self.fork_day is None else max(0.0, self.from_day, self.fork_day)


def per_day_bytes(one: ClassPlan, rate_bytes: float, most_per_day: int | None) -> float:
    """Bytes of a class that go in a day.

    Args:
        one: the class.
        rate_bytes: of new plots that arrive in a day; as many bytes go.
        most_per_day: old plots that go in a day; None: no limit.
    """
    if most_per_day is None or not one.plots:
        return rate_bytes
    return min(rate_bytes, most_per_day * one.bytes / one.plots)


def earliest_day(one: ClassPlan, rate_bytes: float, most_per_day: int | None, when: When) -> float | None:
    """When a class may go, if none went before it, in days from now; None: that is not known.

    Args:
        one: the class.
        rate_bytes: of new plots that arrive in a day; 0: not known, and it then begins when it pays.
        most_per_day: old plots that go in a day; None: no limit.
        when: the earliest times.
    """
    first = when.first_day
    if first is None or not one.plots or not when.if_it_pays or when.fork_day is None:
        return first
    takes = one.bytes / per_day_bytes(one, rate_bytes, most_per_day) if rate_bytes > 0 else 0.0
    return max(first, when.fork_day + min(one.due_days - takes / 2, GONE_DAYS - takes))


def spans(
    classes: Sequence[ClassPlan], rate_bytes: float, most_per_day: int | None, when: When
) -> tuple[Span, ...] | None:
    """When each class goes, one after the other; None: that is not known.

    Args:
        classes: in their order.
        rate_bytes: of new plots that arrive in a day.
        most_per_day: old plots that go in a day; None: no limit.
        when: the earliest times.
    """
    first = when.first_day
    if first is None or rate_bytes <= 0:
        return None
    found: list[Span] = []
    day = first
    for one in classes:
        takes = one.bytes / per_day_bytes(one, rate_bytes, most_per_day)
        day = max(day, earliest_day(one, rate_bytes, most_per_day, when) or 0.0)
        found.append(Span(begins=day, ends=day + takes))
        day += takes
    return tuple(found)


def daily_shares(most_per_day: int, plots: Mapping[str, int]) -> dict[str, int]:
    """Divide a limit of a day among hosts: each gets 1 or more, and the rest in proportion to its plots.

    Args:
        most_per_day: as many as there are hosts, or more.
        plots: old plots of each host.
    """
    spare = most_per_day - len(plots)
    every = sum(plots.values()) or 1
    exact = {host: spare * count / every for host, count in plots.items()}
    shares = {host: 1 + int(share) for host, share in exact.items()}
    by_rest = sorted(plots, key=lambda host: int(exact[host]) - exact[host])
    for host in by_rest[: most_per_day - sum(shares.values())]:
        shares[host] += 1
    return shares


def needed_bytes_per_day(size_bytes: int, when: When) -> float | None:
    """The pace at which all is replaced before old proofs count no more; None: not known, or too late.

    Args:
        size_bytes: of all classes.
        when: the earliest times.
    """
    first = when.first_day
    if first is None or when.fork_day is None or when.fork_day + GONE_DAYS <= first:
        return None
    return size_bytes / (when.fork_day + GONE_DAYS - first)


@dataclass(frozen=True, slots=True)
class DayWeight:
    """What the plots of all classes and their successors farm on a day; 1: as before the fork."""

    day: float
    old: float
    new: float

    @property
    def sum(self) -> float:
        return self.old + self.new


def weights(
    classes: Sequence[ClassPlan],
    gone: Sequence[Span] | None,
    fork_day: float,
    new_weight: float,
    days: Sequence[float],
) -> Iterator[DayWeight]:
    """Yield the weight on each of these days.

    Args:
        classes: that are replaced.
        gone: when each of them does; None: never.
        fork_day: days from now until the fork.
        new_weight: of a byte of new plots after the fork.
        days: from now.
    """
    before = sum(one.bytes * one.weight for one in classes)
    for day in days if before else ():
        shares = [span.share_at(day) for span in gone] if gone else [0.0] * len(classes)
        pairs = list(zip(classes, shares, strict=True))
        old = sum(one.bytes * one.weight * (1 - share) for one, share in pairs)
        new = sum(one.bytes * share for one, share in pairs) * new_weight
        yield DayWeight(
            day=day,
            old=old * survival_after(day - fork_day) / before,
            new=new / before * (day >= fork_day),
        )


def mean_weight(
    classes: Sequence[ClassPlan], gone: Sequence[Span] | None, fork_day: float, new_weight: float
) -> float:
    """The mean of the 256 days after the fork; arguments as of `weights`. 0: there are no plots."""
    days = [fork_day + day for day in range(YEAR_DAYS)]
    return sum(weight.sum for weight in weights(classes, gone, fork_day, new_weight, days)) / YEAR_DAYS
