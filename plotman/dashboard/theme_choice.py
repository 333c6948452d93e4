"""Which colours this user chose, in a file of theirs."""

from __future__ import annotations

from pathlib import Path

from textual.theme import Theme

from common.config.sections.farm import default_state_dir
from common.system import statefile
from common.system.statefile import Stored
from plotman.dashboard.theme import DARK, LIGHT


class _Chosen(Stored):
    light: bool = False


def choice_file() -> Path:
    """Where this user's choice is kept. Not in farm.state, where users who only look may not write."""
    return default_state_dir() / "dashboard.json"


def remembered() -> Theme:
    """The colours that this user chose last; the dark ones if none were chosen or the file is unreadable."""
    chosen = statefile.read(choice_file(), _Chosen)
    return LIGHT if chosen is not None and chosen.light else DARK


def remember(name: str) -> None:
    """Keep the choice of this user. If it cannot be written, that is only logged."""
    statefile.keep(choice_file(), _Chosen(light=name == LIGHT.name), "the colours of the dashboard")
