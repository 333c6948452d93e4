"""The values that the templates of the farm's page show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from plotman.control.queries.tables import PlainTable


@dataclass(frozen=True)
class Card:
    """kind: end of Flower's CSS class metric-card-...; "" for none. more: a line below the value."""

    label: str
    value: str
    kind: str = ""
    more: str = ""


@dataclass(frozen=True)
class Chart:
    """svg: made by `charts`, not to be escaped. legend: names of the lines, in the order of their colours."""

    title: str
    figure: str
    svg: str
    legend: tuple[str, ...] = ()


@dataclass(frozen=True)
class Button:
    """A button that sends an order (orders.Order). question: what is asked before; "": nothing."""

    label: str
    action: str
    host: str
    task_id: str = ""
    place: str = ""
    question: str = ""


@dataclass(frozen=True)
class HostLine:
    """A machine. duties: of it; state: in words; kind: "", warning or danger."""

    name: str
    duties: str
    state: str
    kind: str
    buttons: tuple[Button, ...]


@dataclass(frozen=True)
class DriveBar:
    """A farming drive. percent: used; None: not known. kind: "", full, warning or danger."""

    host: str
    path: str
    percent: int | None
    state: str
    plots: str
    free: str
    full_in: str
    kind: str
    buttons: tuple[Button, ...]


@dataclass(frozen=True)
class EventLine:
    """at: ISO 8601, for the browser's own time."""

    at: str
    text: str
    kind: str


@dataclass(frozen=True)
class NeedLine:
    """remedy: what to do about it, or how to end it; "": not known. kind: warning or danger; "": an operator
    asked for it."""

    text: str
    remedy: str
    kind: str


@dataclass(frozen=True)
class Needs:
    """A list of needs. more: says what is left out; "": nothing."""

    lines: tuple[NeedLine, ...] = ()
    more: str = ""


@dataclass(frozen=True)
class PageSection:
    """A table. empty: text in place of rows. more: says what is left out; "": nothing. hidden: by column, the
    class that hides it in a narrow window. links: ids of tasks, one for each row, for its first cell.
    buttons: for each row."""

    title: str
    table: PlainTable
    empty: str
    more: str = ""
    hidden: Mapping[str, str] = field(default_factory=dict)
    links: Sequence[str] = ()
    buttons: Sequence[tuple[Button, ...]] = ()


@dataclass(frozen=True)
class Page:
    """The page. asked: what operators asked for. orders: whether buttons are shown.
    trend_note: what the charts lack; "": nothing. more_...: says what is left out; "": nothing."""

    needs: Needs
    asked: Needs
    cards: tuple[Card, ...]
    charts: tuple[Chart, ...]
    trend_note: str
    events: tuple[EventLine, ...]
    hosts: tuple[HostLine, ...]
    drives: tuple[DriveBar, ...]
    running: PageSection
    moving: PageSection
    sections: tuple[PageSection, ...]
    orders: bool
    more_hosts: str = ""
    more_drives: str = ""
