"""Writes docs/performance.md and its pictures from the figures in docs/benchmarks.

python -m benchmarks.render
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.__main__ import NAMES
from benchmarks.chart import picture
from benchmarks.compare import behind
from benchmarks.figures import RESULTS, Figure, Report, brief, read
from benchmarks.prose import PROSE

_PAGE = RESULTS.parent / "performance.md"


def main() -> None:
    """Describe all benchmarks that were run, in the order in which `all` runs them."""
    parts = [_HEAD]
    for name in NAMES:
        path = RESULTS / f"{name}.json"
        if path.exists():
            parts.append(_section(path))
    _PAGE.write_text("\n".join(parts), encoding="utf-8")


_HEAD = """\
# How fast plotman is

`python -m benchmarks.render` writes this page from the figures in [benchmarks/](benchmarks).
`python -m benchmarks all` measures them again ([how](../benchmarks/README.md)). Figures are medians, with
minimum and maximum in brackets. Each peer was measured in the same run: *plotman 0.5.3* as installed from
PyPI, or the plain tool that does the same by hand.
"""


def _section(path: Path) -> str:
    report, said = read(path), json.loads(path.read_text(encoding="utf-8"))
    prose = PROSE[report.name]
    (RESULTS / f"{report.name}.svg").write_text(picture(report.figures), encoding="utf-8")
    lines = [f"## {report.question}", "", f"![{report.question}](benchmarks/{report.name}.svg)", ""]
    lines += _tables(report)
    lines += [prose.reading, ""]
    lines += [f"- {note}" for note in report.notes]
    lines += [f"- Measured {said['measured']} on {said['machine']}.", ""]
    if losses := behind(report.figures):
        lines += ["Where plotman is behind:", ""]
        lines += [f"- {loss}" for loss in losses]
        lines += ["", prose.why, ""] if prose.why else [""]
    return "\n".join(lines)


def _tables(report: Report) -> list[str]:
    """A table for each unit in which several are compared, and one for all other figures."""
    lines, others = [], []
    for unit in dict.fromkeys(figure.unit for figure in report.figures):
        figures = [figure for figure in report.figures if figure.unit == unit]
        places = list(dict.fromkeys(figure.at for figure in figures))
        if len(figures) == len(places) < 3:
            others += figures
            continue
        lines += _pivot(unit, figures, places)
    if others:
        lines += _table(
            ("what", "at", "", "unit"), ((each.subject, each.at, _cell(each), each.unit) for each in others)
        )
    return lines


def _pivot(unit: str, figures: Sequence[Figure], places: Sequence[str]) -> list[str]:
    subjects = list(dict.fromkeys(figure.subject for figure in figures))
    by_place = {(figure.at, figure.subject): figure for figure in figures}
    return _table(
        (unit, *subjects),
        ((at, *(_cell(by_place.get((at, subject))) for subject in subjects)) for at in places),
    )


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return ""
    if len(figure.values) == 1:
        return brief(figure.median)
    return f"{brief(figure.median)} ({brief(min(figure.values))}–{brief(max(figure.values))})"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    cells = [head, ["---", *("--:" for _ in head[1:])], *rows]
    return [*("| " + " | ".join(row) + " |" for row in cells), ""]


if __name__ == "__main__":
    main()
