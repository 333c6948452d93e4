"""Figures as a picture: bars to the median, whiskers from the least to the most. SVG, without a library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from benchmarks.figures import Figure, brief

_WIDTH, _LEFT, _RIGHT = 860, 330, 90
_ROW, _BAR, _TITLE, _GAP = 22, 13, 30, 14
_COLOURS = ("#2f7d4f", "#c2703d", "#5b6fa8", "#8d8d8d", "#a8527c", "#4f9fae")
_OURS = _COLOURS[0]
# From this ratio of the largest to the smallest on, short bars would not be seen.
_LOG_FROM = 30


def picture(figures: Sequence[Figure]) -> str:
    """One panel for each unit, in the order in which they come."""
    colours = _colours(figures)
    units = list(dict.fromkeys(figure.unit for figure in figures))
    height, panels = 0, []
    for unit in units:
        panel, used = _panel(unit, [figure for figure in figures if figure.unit == unit], colours, height)
        panels.append(panel)
        height += used
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
        f'height="{height}" font-family="sans-serif" font-size="12" fill="#222222">\n'
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>\n' + "\n".join(panels) + "\n</svg>\n"
    )


def _colours(figures: Sequence[Figure]) -> dict[str, str]:
    subjects = dict.fromkeys(figure.subject for figure in figures)
    others = iter(_COLOURS[1:] * len(subjects))
    return {subject: _OURS if _is_ours(subject) else next(others) for subject in subjects}


def _is_ours(subject: str) -> bool:
    return subject.split(":")[0] == "plotman"


def _panel(unit: str, figures: Sequence[Figure], colours: dict[str, str], top: int) -> tuple[str, int]:
    """Its SVG, and its height in pixels."""
    scale = _Scale(figures)
    lines = [f'<text x="12" y="{top + 20}" font-weight="bold">{escape(unit + scale.word)}</text>']
    for number, figure in enumerate(figures):
        middle = top + _TITLE + number * _ROW + _ROW // 2
        label = f"{figure.at} · {figure.subject}"
        least, most = scale.x(min(figure.values)), scale.x(max(figure.values))
        end = scale.x(figure.median)
        lines += [
            f'<text x="{_LEFT - 8}" y="{middle + 4}" text-anchor="end">{escape(label)}</text>',
            f'<rect x="{_LEFT}" y="{middle - _BAR // 2}" width="{max(1.0, end - _LEFT):.1f}" height="{_BAR}" '
            f'fill="{colours[figure.subject]}"/>',
            f'<path d="M{least:.1f} {middle}H{most:.1f}M{least:.1f} {middle - 3}v6'
            f'M{most:.1f} {middle - 3}v6" stroke="#222222" fill="none"/>',
            f'<text x="{max(end, most) + 6:.1f}" y="{middle + 4}">{escape(brief(figure.median))}</text>',
        ]
    return "\n".join(lines), _TITLE + len(figures) * _ROW + _GAP


class _Scale:
    """From values to pixels, all of one unit."""

    def __init__(self, figures: Sequence[Figure]) -> None:
        values = [value for figure in figures for value in figure.values]
        above = [value for value in values if value > 0]
        self._most = max(above, default=1.0)
        self._least = min(above, default=1.0)
        self._log = self._most / self._least > _LOG_FROM and min(values) >= 0
        self.word = " (logarithmic)" if self._log else ""

    def x(self, value: float) -> float:
        room = _WIDTH - _LEFT - _RIGHT
        if not self._log:
            return _LEFT + room * max(0.0, value) / self._most
        # The smallest gets a tenth of a decade, so that it is seen as well.
        low = math.log10(self._least) - 0.1
        share = (math.log10(max(value, self._least)) - low) / (math.log10(self._most) - low)
        return _LEFT + room * share
