"""Charts as SVG, made on the server. Pure.

Colours are CSS classes, so that they follow the browser's dark mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_WIDTH, _HEIGHT, _BASE, _TOP = 300, 110, 96, 8  # of the SVG's own units; CSS scales it


def bars(title: str, labels: Sequence[str], values: Sequence[float], unit: str) -> str:
    """Draw a bar for each value.

    Args:
        title: for screen readers. labels: of each bar, as is its value in the tooltip.
        values: none of them negative. unit: of the values.
    """
    most = max(values, default=0) or 1
    step = _WIDTH / max(1, len(values))
    parts = []
    for number, (label, value) in enumerate(zip(labels, values, strict=True)):
        height = max(1.0 if value else 0.0, (_BASE - _TOP) * value / most)
        tip = escape(f"{label}: {_number(value)} {unit}")
        parts.append(
            f'<g><rect class="farm-hover" x="{number * step:.1f}" y="0" width="{step:.1f}" height="{_BASE}"/>'
            f'<rect class="farm-bar" x="{number * step + step * 0.12:.1f}" y="{_BASE - height:.1f}" '
            f'width="{step * 0.76:.1f}" height="{height:.1f}" rx="1.5"/><title>{tip}</title></g>'
        )
    return _svg(title, "".join(parts), labels)


def lines(
    title: str, labels: Sequence[str], series: Sequence[tuple[str, Sequence[float | None]]], unit: str
) -> str:
    """Draw a line for each series; where a value is None, the line goes from its neighbour to its neighbour.

    Args:
        title: for screen readers. labels: of each place on the x axis.
        series: name and values, one for each label. unit: of the values.
    """
    most = max((value for _, values in series for value in values if value is not None), default=0) or 1
    step = _WIDTH / max(1, len(labels))
    parts = []
    for number, (name, values) in enumerate(series):
        places = [
            (index * step + step / 2, _BASE - (_BASE - _TOP) * value / most, labels[index], value)
            for index, value in enumerate(values)
            if value is not None
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, *_ in places)
        dots = "".join(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2"><title>'
            f"{escape(f'{label}, {name}: {_number(value)} {unit}')}</title></circle>"
            for x, y, label, value in places
        )
        parts.append(f'<g class="farm-line farm-line-{number}"><polyline points="{path}"/>{dots}</g>')
    return _svg(title, "".join(parts), labels)


def _svg(title: str, content: str, labels: Sequence[str]) -> str:
    ends = ""
    if labels:
        ends = (
            f'<text x="0" y="{_HEIGHT - 2}">{escape(labels[0])}</text>'
            f'<text x="{_WIDTH}" y="{_HEIGHT - 2}" text-anchor="end">{escape(labels[-1])}</text>'
        )
    return (
        f'<svg class="farm-chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">'
        f'<line class="farm-axis" x1="0" y1="{_BASE}" x2="{_WIDTH}" y2="{_BASE}"/>{content}{ends}</svg>'
    )


def _number(value: float) -> str:
    return f"{value:.0f}" if value == int(value) else f"{value:.2f}"
