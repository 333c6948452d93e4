"""Figures of a benchmark: kept as JSON under docs/benchmarks, shown as a table."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parents[1] / "docs" / "benchmarks"


@dataclass(frozen=True)
class Figure:
    """What was measured at one point: `subject` is whose figure it is (plotman, plotman 0.5.3, rsync, ...),
    `at` the size or case, `unit` the unit of every value."""

    subject: str
    at: str
    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def share(self, part: float) -> float:
        """The value that `part` of all (0.99) do not exceed: the nearest one that was measured."""
        ordered = sorted(self.values)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


@dataclass
class Report:
    """One run of one benchmark. notes: what has to be known to read it, a sentence each."""

    name: str
    question: str
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, subject: str, at: str, unit: str, values: Iterable[float]) -> Figure:
        figure = Figure(subject, at, unit, tuple(values))
        self.figures.append(figure)
        return figure

    def note(self, text: str) -> None:
        self.notes.append(text)

    def show(self) -> None:
        table = Table(title=self.question, title_justify="left")
        for column in COLUMNS:
            right = column not in COLUMNS[:2]
            table.add_column(column, justify="right" if right else "left")
        for row in rows(self.figures):
            table.add_row(*row)
        console = Console()
        console.print(table)
        for text in self.notes:
            console.print(f"- {text}", highlight=False)

    def save(self, keep: bool = False) -> None:
        """Write docs/benchmarks/NAME.json, over the last run's; not where `keep` is set, since a
        quick run says little."""
        if keep:
            return
        RESULTS.mkdir(parents=True, exist_ok=True)
        path = RESULTS / f"{self.name}.json"
        path.write_text(json.dumps(self._as_json(), indent=1) + "\n", encoding="utf-8")

    def _as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "question": self.question,
            "measured": datetime.now(UTC).date().isoformat(),
            "machine": machine(),
            "notes": self.notes,
            "figures": [
                asdict(figure) | {"values": [round(value, 6) for value in figure.values]}
                for figure in self.figures
            ],
        }


COLUMNS = ("what", "at", "median", "min", "max", "99 %", "n", "unit")


def rows(figures: Sequence[Figure]) -> list[tuple[str, ...]]:
    return [
        (
            figure.subject,
            figure.at,
            brief(figure.median),
            brief(min(figure.values)),
            brief(max(figure.values)),
            brief(figure.share(0.99)),
            str(len(figure.values)),
            figure.unit,
        )
        for figure in figures
    ]


def brief(value: float) -> str:
    """Three digits that count: 0.0123, 1.23, 12.3, 123, 1235."""
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


def read(path: Path) -> Report:
    """A report that `save` wrote."""
    said = json.loads(path.read_text(encoding="utf-8"))
    figures = [Figure(**figure | {"values": tuple(figure["values"])}) for figure in said["figures"]]
    return Report(said["name"], said["question"], figures, said["notes"])


def machine() -> str:
    """What the figures were measured on, in a few words."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores, {memory_gib:.0f} GiB, Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}"
    )
