"""The keys, in one list: for the app, the help screen and the command palette."""

from __future__ import annotations

from typing import NamedTuple

from textual.binding import Binding, BindingType

PANES = ("plots", "tmp", "dst", "drives", "moves", "waits", "machines", "log")
ALL = "all"


class Key(NamedTuple):
    """keys: as Textual names them, by commas. shown: as people do. in_footer: whether the footer has it."""

    keys: str
    shown: str
    action: str
    name: str
    says: str
    in_footer: bool = False


KEYS = (
    Key("question_mark,f1,h", "?", "help", "Help", "these keys", True),
    Key("q", "q", "quit", "Quit", "close; everything goes on", True),
    Key("p", "p", "toggle_plotting", "Plotting", "pause plotting, or start plots again", True),
    Key("a", "a", "toggle_archiving", "Archiving", "pause archiving, or let plots move again", True),
    Key("slash", "/", "filter", "Filter", "show only rows with these words, in all tables", True),
    Key("enter", "Enter", "details", "Details", "the chosen row from near; a plot with its log", True),
    Key("s", "s", "suspend_plot", "Suspend", "suspend the chosen plot", True),
    Key("r", "r", "resume_plot", "Resume", "let the chosen plot go on", True),
    Key("x,delete", "x", "kill_plot", "Kill", "kill the chosen plot; you are asked twice", True),
    Key("d", "d", "toggle_drain", "Drain", "drain the chosen folder, drive or machine, or end that", True),
    Key("b", "b", "bandwidth", "Bandwidth", "limit what is sent to other machines", True),
    Key("o", "o", "sort(1)", "Sort", "sort the table by the next column", True),
    Key("O", "O", "reverse", "Reverse", "sort it the other way round"),
    Key("n", "n", "notes", "Notes", "all that nobody should overlook, in full", True),
    Key("left_square_bracket,left", "[ ←", "host(-1)", "Machine before", "the machine before"),
    Key("right_square_bracket,right", "] →", "host(1)", "Next machine", "the next machine"),
    Key("0", "0", "pane('all')", "All tables", "all tables, where there is room"),
    *(
        Key(str(number), str(number), f"pane('{pane}')", f"Only {pane}", f"the table of {pane}")
        for number, pane in enumerate(PANES, 1)
    ),
    Key("escape", "Esc", "escape", "Back", "end the filter; back to all tables, keys to the log"),
)

HELP = """\
plotman interactive looks at the farm and asks; closing it stops nothing.

Up, down, page up, page down and end scroll the log. After Tab, a digit or a click they move the \
cursor in that table; Esc gives them back to the log. A click on a column's head sorts by it, a second \
click on a row shows it from near. ctrl+p finds every command by its name.

"""

LEGEND = """

A row that begins with ! needs somebody. Bars: █ done or used, ▒ reserved, · free. Phases: a digit for \
the plots in each step of a phase. Silent machines show their last word.
"""


def bindings() -> list[BindingType]:
    return [
        Binding(key.keys, key.action, key.name, show=key.in_footer, key_display=key.shown) for key in KEYS
    ]


def help_text() -> str:
    lines = [f"  {key.shown:<6} {key.says}" for key in KEYS]
    return HELP + "\n".join(lines) + LEGEND
