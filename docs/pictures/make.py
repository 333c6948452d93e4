"""Makes the pictures of the terminal: `.venv/bin/python docs/pictures/make.py`.

Runs the quick start in a terminal of its own (needs tmux) and draws what stands there as SVG; then
the verbs, for a farm of four hosts on paper.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from paper_farm import paper_farm
from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WIDTH, HEIGHT = 110, 30


class Terminal:
    """A tmux session on a server of its own."""

    def __init__(self, name: str, command: str) -> None:
        self._tmux = ("tmux", "-L", f"plotman-{name}-{os.getpid()}")
        size = ("-x", str(WIDTH), "-y", str(HEIGHT))
        subprocess.run((*self._tmux, "new-session", "-d", *size, f"{command}; sleep 60"), check=True)

    def screen(self) -> str:
        """What stands there, with its colours."""
        capture = (*self._tmux, "capture-pane", "-p", "-e")
        return subprocess.run(capture, check=True, capture_output=True, text=True).stdout

    def wait(self, condition: Callable[[str], object], timeout_s: float) -> str:
        deadline = time.monotonic() + timeout_s
        while not condition(screen := self.screen()):
            if time.monotonic() > deadline:
                raise SystemExit(f"it never came so far; the screen:\n{screen}")
            time.sleep(0.1)
        return screen

    def close(self) -> None:
        subprocess.run((*self._tmux, "kill-server"), check=False)


def draw(screen: str, name: str, title: str) -> None:
    """Write the screen as SVG. The fonts are the reader's own: no address is asked for them."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, color_system="truecolor")
        console.print(Text.from_ansi(screen.rstrip()))
    svg = console.export_svg(title=title, theme=DIMMED_MONOKAI)
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    (HERE / name).write_text(svg, encoding="utf-8")


def quickstart(folder: Path) -> None:
    terminal = Terminal("quickstart", f"clear; {ROOT}/deploy/quickstart --farm {folder} --plots 6 --k 20")
    try:
        half = re.compile(r"[34] of 6 plots on drives.*Plotting: [1-9]", re.DOTALL)
        draw(terminal.wait(half.search, 900), "quickstart.svg", "./deploy/quickstart --k 20")
        terminal.wait(lambda text: "moved and verified" in text, 300)
    finally:
        terminal.close()


def verb(config: Path, name: str, words: str, shows: str) -> None:
    """Draw what a verb shows once the text `shows` stands there."""
    run = f"clear; PLOTMAN_CONFIG={config} {sys.executable} -m plotman {words}"
    terminal = Terminal(name, run)
    try:
        terminal.wait(lambda text: shows in text, 60)
        time.sleep(3)  # the dashboard's rates need two looks
        draw(terminal.screen(), f"{name}.svg", f"plotman {words}")
    finally:
        terminal.close()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="plotman-") as folder:
        quickstart(Path(folder) / "farm")
    with tempfile.TemporaryDirectory(prefix="plotman-") as folder, paper_farm(Path(folder)) as config:
        verb(config, "status", "status", "Updated at")
        verb(config, "interactive", "interactive", "/mnt/farm/07")
        verb(config, "why", "why zen1", "dst")


if __name__ == "__main__":
    main()
