"""The keys, in one list for the app, the help text and the command palette."""

from __future__ import annotations

from typing import NamedTuple

from textual.binding import Binding, BindingType
from textual.widgets import Footer

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


KEYS = (
    Key("question_mark,f1,h", "?", "help", "Help", "these keys", True),
    Key(
        "q",
        "q",
        "quit",
        "Quit",
        "close the dashboard; the farm keeps running",
        True,
    ),
    Key("p", "p", "command('toggle_plotting')", "Plotting", "pause or unpause plotting", True),
    Key("a", "a", "command('toggle_archiving')", "Archiving", "pause or unpause archiving", True),
    Key(
        "slash", "/", "main('open_filter')", "Filter", "show only rows with these words, in all tables", True
    ),
    Key("enter", "Enter", "details", "Details", "details of the chosen row; of a plot with its log", True),
    Key("s", "s", "command('suspend_plot')", "Suspend", "suspend the chosen plot", True),
    Key("r", "r", "command('resume_plot')", "Resume", "resume the chosen plot", True),
    Key("x,delete", "x", "command('kill_plot')", "Kill", "kill the chosen plot; you are asked twice", True),
    Key("d", "d", "command('toggle_drain')", "Drain", "drain or undrain the chosen row", True),
    Key("b", "b", "command('set_bandwidth')", "Bandwidth", "limit the bandwidth to other machines", True),
    Key("o", "o", "sort(1)", "Sort", "sort the table by the next column", True),
    Key("O", "O", "reverse", "Reverse", "reverse the order"),
    Key("n", "n", "notes", "Notes", "all notes in full", True),
    Key(
        "left_square_bracket,left", "[ ←", "main('next_host', -1)", "Previous machine", "the previous machine"
    ),
    Key("right_square_bracket,right", "] →", "main('next_host', 1)", "Next machine", "the next machine"),
    Key("0", "0", "main('show_pane', 'all')", "All tables", "all tables, if the terminal is large enough"),
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
    Key("escape", "Esc", "main('step_back')", "Back", "end the filter; back to all tables and to the log"),
)

HELP = """\
plotman interactive shows and controls the farm; closing it stops nothing.

Up, down, page up, page down and end scroll the log. After Tab, a digit or a click they move the \
cursor in that table; after Esc they scroll the log again. A click on a column's head sorts by it, a \
second click on a row shows its details. ctrl+p finds every command by its name.

"""

LEGEND = """

A row that begins with ! needs an operator. Bars: █ done or used, ▒ reserved, · free. Phases: a digit \
for the number of plots in each step of a phase. Silent machines show their last state.
"""


def bindings() -> list[BindingType]:
    return [
        Binding(key.keys, key.action, key.name, show=key.in_footer, key_display=key.label) for key in KEYS
    ]


def help_text() -> str:
    lines = [f"  {key.label:<6} {key.help}" for key in KEYS]
    return HELP + "\n".join(lines) + LEGEND


class KeyFooter(Footer):
    """Textual's footer makes its keys anew with each screen that opens or closes, and keeps the former ones
    (8.2.8): each watches `compact`, and leaves only when that changes. 24 keys take half a megabyte."""

    async def recompose(self) -> None:
        await super().recompose()
        for watchers in getattr(self, "__watchers", {}).values():
            watchers[:] = [(widget, callback) for widget, callback in watchers if not widget._closing]
