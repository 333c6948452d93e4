"""A screen above which dialogs may open, and that changes meanwhile."""

from __future__ import annotations

from textual.screen import Screen


class ScreenBehind(Screen[None]):
    """Is drawn once for each of its changes, also behind a dialog."""

    def _compositor_refresh(self) -> None:
        """Draw what changed. Textual (8.2.8) then marks a screen behind a dialog as changed once more, which
        would draw the same lines, and the whole terminal with them, again at each message."""
        super()._compositor_refresh()
        if self is not self.app.screen:
            self._repaint_required = False
