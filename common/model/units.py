"""Sizes, durations and counts as text. Decimal units, as on drives and in plotman 0.5.3."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median_high

_MOST = 1e30  # far beyond each size and duration of a farm
_FAR_LARGER = 10_000  # than one of a unit: five digits before the point
_BARS = "·▁▂▃▄▅▆▇"
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def human_bytes(size_bytes: float, decimals: int = 1) -> str:
    """4_100_000 -> "4.1 MB". Whole bytes carry no decimals; negative sizes keep their sign.

    Never raises: "?" for NaN, infinity and absurd numbers.
    """
    if not abs(size_bytes) < _MOST:  # NaN compares as False
        return "?"
    sign, rest = ("-", -size_bytes) if size_bytes < 0 else ("", size_bytes)
    unit = 0
    # Rounded first: 999_950 is 1.0 MB, not 1000.0 kB.
    while unit < len(_UNITS) - 1 and round(rest, decimals if unit else 0) >= 1000:
        rest /= 1000
        unit += 1
    return f"{sign}{rest:.{decimals if unit else 0}f} {_UNITS[unit]}"


def human_bytes_alike(sizes_bytes: Sequence[float | None], unknown: str = "?") -> list[str]:
    """Sizes as text in the unit of the middle one, so that a column of them can be compared at a glance.

    Args:
        sizes_bytes: of a column; None: not known.
        unknown: the text for None and for absurd numbers.

    Returns:
        A text for each: `120.5 GB`, `0 GB`; `<0.1 GB` for what the unit cannot show. What is far larger than
        the unit has its own.
    """
    known = [abs(size) for size in sizes_bytes if size and abs(size) < _MOST]
    unit = _UNITS.index(human_bytes(median_high(known) if known else 0).rpartition(" ")[2])
    texts = []
    for size in sizes_bytes:
        if size is None or not abs(size) < _MOST:
            texts.append(unknown)
        elif abs(size) >= _FAR_LARGER * 1000**unit:
            texts.append(human_bytes(size))
        elif size == 0 or unit == 0:
            texts.append(f"{size:.0f} {_UNITS[unit]}")
        else:
            rest = f"{size / 1000**unit:.1f}"
            texts.append(f"{'<0.1' if rest == '0.0' else rest} {_UNITS[unit]}")
    return texts


def human_bytes_apart(one_bytes: int, other_bytes: int) -> tuple[str, str]:
    """Two sizes as text, with enough decimals to see that they differ."""
    for decimals in (1, 3):
        texts = human_bytes(one_bytes, decimals), human_bytes(other_bytes, decimals)
        if texts[0] != texts[1] or one_bytes == other_bytes:
            return texts
    return f"{one_bytes} B", f"{other_bytes} B"


def human_duration(duration_s: float) -> str:
    """5000 -> "1h 23m": the two largest units, whole seconds, never negative; "?" as in human_bytes."""
    if not abs(duration_s) < _MOST:
        return "?"
    seconds = max(0, int(duration_s))
    days, seconds = divmod(seconds, 86_400)
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s")]
    while len(parts) > 1 and parts[0][0] == 0:
        parts.pop(0)
    return " ".join(f"{number}{unit}" for number, unit in parts[:2])


def plausible_s(duration_s: float | None) -> float | None:
    """A duration of a plot or a move; None unless 0 <= duration_s < 1e9."""
    return duration_s if duration_s is not None and 0 <= duration_s < 1e9 else None


def human_seconds(duration_s: float) -> str:
    """1800.0 -> "1800s", 4.5 -> "4.5s": for durations to compare, as in `stagger 1623s/1800s`. "?" as in
    human_bytes."""
    if not abs(duration_s) < _MOST:
        return "?"
    return f"{duration_s:.0f}s" if float(duration_s).is_integer() else f"{duration_s:.1f}s"


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """`1 plot`, `2 plots`. plural: of an irregular noun."""
    return f"{count} {noun if count == 1 else plural or f'{noun}s'}"


def sparkline(counts: Sequence[float], top: float | None = None) -> str:
    """A bar for each count; only a zero has no bar.

    Args:
        counts: 0 or more each.
        top: the count of the highest bar; None: the highest of the counts.
    """
    top = max(counts, default=0) if top is None else top
    return "".join(_BARS[min(7, math.ceil(count * 7 / top))] if top else _BARS[0] for count in counts)
