"""The keys, in one list for the app, the help text and the command palette."""

from __future__ import annotations

from typing import NamedTuple

from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.widgets import Footer
from textual.widgets._footer import FooterKey

PANES = ("plots", "tmp", "dst", "drives", "moves", "waits", "machines", "log", "classes")
ALL = "all"


class Key(NamedTuple):
    """keys: names of Textual, separated by commas. label: in the help text. in_footer: also shown there."""

    keys: str
    label: str
    action: str
    name: str
    help: str
    in_footer: bool = False


GROUPS = {
    "Dashboard": (
        Key("question_mark,f1,h", "?", "help", "Help", "these keys", True),
        Key("t", "t", "other_theme", "Light or dark", "light or dark colours"),
        Key("q", "q", "quit", "Quit", "close the dashboard; the farm keeps running", True),
    ),
    "Plots": (
        Key("enter", "Enter", "details", "Details", "details of the chosen row; of a plot its log"),
        Key("s", "s", "command('suspend_plot')", "Suspend", "suspend the chosen plot", True),
        Key("r", "r", "command('resume_plot')", "Resume", "resume the chosen plot", True),
        Key("x,delete", "x", "command('kill_plot')", "Kill", "kill the chosen plot; asks twice", True),
    ),
    "Farm": (
        Key("p", "p", "command('toggle_plotting')", "Plotting", "pause or unpause plotting", True),
        Key("a", "a", "command('toggle_archiving')", "Archiving", "pause or unpause archiving", True),
        Key("d", "d", "command('toggle_drain')", "Drain", "drain or undrain the chosen row", True),
        Key("b", "b", "command('set_bandwidth')", "Bandwidth", "limit the bandwidth to other machines"),
        Key("n", "n", "notes", "Notes", "all notes in full", True),
    ),
    "Tables": (
        Key("slash", "/", "main('open_filter')", "Filter", "only rows with these words, in all tables", True),
        Key("o", "o", "sort(1)", "Sort", "sort the table by the next column", True),
        Key("O", "O", "reverse", "Reverse", "reverse the order"),
        *(
            Key(
                str(number),
                str(number),
                f"main('show_pane', '{pane}')",
                f"Only {pane}",
                f"only the table of {pane}",
            )
            for number, pane in enumerate(PANES, 1)
        ),
        Key("0", "0", "main('show_pane', 'all')", "All tables", "all tables, if they have room"),
        Key("left_square_bracket,left", "[ ←", "main('next_host', -1)", "Previous machine",
            "the previous machine"),
        Key("right_square_bracket,right", "] →", "main('next_host', 1)", "Next machine", "the next machine"),
        Key("escape", "Esc", "main('step_back')", "Back", "end the filter; back to all tables and to plots"),
    ),
}  # fmt: skip
KEYS = tuple(key for group in GROUPS.values() for key in group)

HELP = """\
plotman interactive shows and controls the farm; closing it stops nothing.

Up, down, page up, page down, home and end move in the table of plots; after Tab, a digit or a click, in \
that table. The log they scroll. A click on a column's head sorts by it, a second click on a row shows its \
details. ctrl+p finds every command by its name.
"""

LEGEND = """

A row that begins with ! needs an operator. Bars: ━ done or used (amber above 90 % of a drive), ╍ \
reserved, ─ free. Silent machines show their last state.
"""


def bindings() -> list[BindingType]:
    return [
        Binding(key.keys, key.action, key.name, show=key.in_footer, key_display=key.label) for key in KEYS
    ]


def help_text() -> str:
    lines = [
        line
        for name, group in GROUPS.items()
        for line in ("", name, *(f"  {key.label:<6} {key.help}" for key in group))
    ]
    return HELP + "\n".join(lines) + LEGEND


_FIRST = {
    next(key.action for key in group if key.in_footer)
    for name, group in GROUPS.items()
    if name != "Dashboard"
}


_KEY_GAPS, _GROUP_GAP = 3, 2  # columns: around a key and its name; before a group


class KeyFooter(Footer):
    """Textual's footer makes its keys anew with each screen that opens or closes, and keeps the former ones
    (8.2.8): each watches `compact`, and leaves only when that changes. 24 keys take half a megabyte."""

    DEFAULT_CSS = f"KeyFooter FooterKey.-first {{ margin-left: {_GROUP_GAP}; }}"

    async def recompose(self) -> None:
        await super().recompose()
        for key in self.query(FooterKey):
            key.set_class(key.action in _FIRST, "-first")
        self._fit()
        for watchers in getattr(self, "__watchers", {}).values():
            watchers[:] = [(widget, callback) for widget, callback in watchers if not widget._closing]

    def on_resize(self) -> None:
        self._fit()

    def _fit(self) -> None:
        """Show the keys that have room as a whole."""
        used = 0
        for key in self.query(FooterKey):
            gaps = _KEY_GAPS + (_GROUP_GAP if key.has_class("-first") else 0)
            used += cell_len(key.key_display) + cell_len(key.description) + gaps
            key.display = used <= self.app.size.width
