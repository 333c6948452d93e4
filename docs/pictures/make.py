"""Makes the pictures of the terminal: `.venv/bin/python docs/pictures/make.py`.

Runs the quick start in a terminal of its own (needs tmux) and draws its screens as one SVG in motion; then
the verbs, for a farm of four hosts on paper. Each picture is made for dark and for light pages.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from paper_farm import paper_farm
from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME, DIMMED_MONOKAI
from rich.text import Text

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WIDTH, HEIGHT = 110, 30
# The picture in motion: how long it takes at most before its last screen, that one, and each other.
_MOTION_S, _LAST_S, _FRAME_S = 30.0, 6.0, 0.7


class Terminal:
    """A tmux session on a server of its own."""

    def __init__(self, name: str, command: str) -> None:
        self._tmux = ("tmux", "-L", f"plotman-{name}-{os.getpid()}")
        size = ("-x", str(WIDTH), "-y", str(HEIGHT))
        environment = {**os.environ, "COLORTERM": "truecolor"}
        start = (*self._tmux, "new-session", "-d", *size, f"{command}; sleep 60")
        subprocess.run(start, env=environment, check=True)

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

    def press(self, key: str, condition: Callable[[str], object]) -> str:
        subprocess.run((*self._tmux, "send-keys", key), check=True)
        return self.wait(condition, 60)

    def close(self) -> None:
        subprocess.run((*self._tmux, "kill-server"), check=False)


def draw(screen: str, name: str, title: str, *, dark: bool) -> None:
    """Write the screen as SVG."""
    (HERE / _file(name, dark)).write_text(svg_of(screen, title, dark), encoding="utf-8")


def svg_of(screen: str, title: str, dark: bool, part: str | None = None) -> str:
    """Draw the screen. The fonts are the reader's own: no address is asked for them.

    part: makes the names of its styles its own, where several screens share a file.
    """
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, color_system="truecolor")
        console.print(Text.from_ansi(screen.rstrip("\n")))
    theme = DIMMED_MONOKAI if dark else DEFAULT_TERMINAL_THEME
    svg = console.export_svg(title=title, theme=theme, unique_id=part)
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return _with_last_line(svg)


def _with_last_line(svg: str) -> str:
    """Show all of the last line: rich cuts off what is below its base line, where there is a margin of 8."""
    cut = re.compile(r'(-clip-terminal">\s*<rect [^>]*height=")([\d.]+)')
    return cut.sub(lambda found: f"{found[1]}{float(found[2]) + 8}", svg)


def draw_motion(frames: Sequence[tuple[float, str]], name: str, title: str, *, dark: bool) -> None:
    """Write one SVG that shows the screens one after the other, and again from the first.

    frames: the second at which each screen appeared, and the screen.
    """
    slower = max(1.0, (frames[-1][0] - frames[0][0]) / _MOTION_S)
    begins_s = [(at_s - frames[0][0]) / slower for at_s, _ in frames]
    whole_s = begins_s[-1] + _LAST_S
    styles, screens = [], []
    for number, (_, screen) in enumerate(frames):
        begin, end = (100 * each / whole_s for each in (*begins_s, whole_s)[number : number + 2])
        lines = screen.rstrip().split("\n")
        lines += ["\N{NO-BREAK SPACE}"] * (HEIGHT - len(lines))
        svg = svg_of("\n".join(lines), title, dark, f"t{number}")
        # Lines end where they should without clipping, which would be half of the file.
        svg = re.sub(
            r' clip-path="url\(#t\d+-line-\d+\)"|<clipPath id="t\d+-line-.*?</clipPath>\s*',
            "",
            svg,
            flags=re.DOTALL,
        )
        screens.append(f'<g class="f{number}">{svg}</g>')
        styles.append(
            f"@keyframes f{number} {{ 0%,{end:.2f}%,100% {{ visibility: hidden }} "
            f"{begin:.2f}% {{ visibility: visible }} }} "
            f".f{number} {{ visibility: hidden; animation: f{number} {whole_s:.1f}s step-end infinite }}"
        )
    # Who wants no motion sees one screen, from the middle.
    still = f".f{len(frames) // 2} {{ visibility: visible }}"
    styles.append(f"@media (prefers-reduced-motion) {{ g[class^=f] {{ animation: none }} {still} }}")
    box = re.search(r'viewBox="[^"]*"', screens[0])
    assert box is not None, "rich gives each SVG its size"
    text = f'<svg xmlns="http://www.w3.org/2000/svg" {box[0]}><style>{" ".join(styles)}</style>'
    (HERE / _file(name, dark)).write_text("\n".join([text, *screens, "</svg>\n"]), encoding="utf-8")


def _spread(frames: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Those that are shown: the first, those that stay long enough, and the last."""
    least_s = _FRAME_S * max(1.0, (frames[-1][0] - frames[0][0]) / _MOTION_S)
    shown = [frames[0]]
    for frame in frames[1:-1]:
        if frame[0] >= shown[-1][0] + least_s:
            shown.append(frame)
    return [*shown, frames[-1]]


def _file(name: str, dark: bool) -> str:
    return f"{name}-dark.svg" if dark else f"{name}.svg"


def quickstart(folder: Path) -> None:
    command = f"{ROOT}/deploy/quickstart --farm {folder} --plots 6 --k 20"
    terminal = Terminal("quickstart", f"clear; {command}")
    frames = list[tuple[float, str]]()

    def is_done(screen: str) -> bool:
        if frames or "of 6 plots" in screen:  # not the installation before
            shown = screen.replace(str(folder.parent), "~").replace(str(ROOT), "~/plotman")
            frames.append((time.monotonic(), shown))
        return "moved and verified" in screen

    try:
        terminal.wait(is_done, 900)
    finally:
        terminal.close()
    for dark in (True, False):
        draw_motion(_spread(frames), "quickstart", "./deploy/quickstart --k 20", dark=dark)


def verb(config: Path, name: str, words: str, shows: str, key: str = "") -> None:
    """Draw what a verb shows once the text stands there that `shows` (a regular expression) finds.

    key: changes between dark and light, where the verb has its own colours: then none is left.
    """
    run = f"clear; PLOTMAN_CONFIG={config} {sys.executable} -m plotman {words}"
    terminal = Terminal(name, run)
    try:
        dark = light = terminal.wait(lambda text: re.search(shows, text, re.DOTALL), 60)
        if key:
            light = terminal.press(key, lambda text: not _backgrounds(text) & _backgrounds(dark))
        draw(dark.rstrip(), name, f"plotman {words}", dark=True)
        draw(light.rstrip(), name, f"plotman {words}", dark=False)
    finally:
        terminal.close()


def _backgrounds(screen: str) -> set[str]:
    """The background colours on a screen, as in its escape sequences."""
    return set(re.findall(r"(?<=[\[;])48;(?:5;\d+|2;\d+;\d+;\d+)", screen))


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="plotman-") as folder:
        quickstart(Path(folder) / "farm")
    with tempfile.TemporaryDirectory(prefix="plotman-") as folder, paper_farm(Path(folder)) as config:
        verb(config, "status", "status", "Updated at")
        verb(config, "interactive", "interactive", r"moving at .*/mnt/farm/07.*is sent to nas1", "t")
        verb(config, "why", "why zen1", "dst")


if __name__ == "__main__":
    main()
