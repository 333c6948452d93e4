"""Templates of plotman in addition to Flower's, by Tornado's application setting `template_loader`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from tornado.template import Loader, Template

log = logging.getLogger(__name__)

_OURS = Path(__file__).parent / "templates"
# Flower's navigation cannot be extended: our page is inserted after its last entry (navbar.html, flower 2.2).
_LAST_ENTRY = """>Broker</a>
        </li>
"""
# Flower binds its button to this id and acts at the first click (task.html and flower.js, flower 2.2). With
# another id only our script handles the click, and asks before.
_FLOWERS_BUTTON = 'id="task-terminate"'
_OUR_BUTTON = 'id="plotman-terminate"'
_ENTRY = """        <li class="nav-item">
          <a class="nav-link{% if active_tab == 'farm' %} active{% end %}"
            href="{{ reverse_url('farm') }}"
            {% if active_tab == 'farm' %}aria-current="page"{% end %}>Farm</a>
        </li>
"""


class TemplateLoader(Loader):
    """Flower's templates and ours. Adds an entry to Flower's navigation, and a question before Terminate."""

    def __init__(self, flowers: str, **settings: Any) -> None:
        super().__init__(flowers, **settings)
        self._flowers = Path(flowers)
        self._templates: dict[str, Template] = {}

    def load(self, name: str, parent_path: str | None = None) -> Template:
        path = self.resolve_path(name, parent_path=parent_path)
        if path not in self._templates:
            text = self._text(path)
            if text is None:
                return super().load(name, parent_path)
            self._templates[path] = Template(text, name=path, loader=self)
        return self._templates[path]

    def _text(self, path: str) -> str | None:
        """Text of a template; None: load Flower's unchanged."""
        if (_OURS / path).is_file():
            return (_OURS / path).read_text(encoding="utf-8")
        changed = {"navbar.html": self._navigation, "task.html": self._task}.get(path)
        return changed() if changed else None

    def _navigation(self) -> str | None:
        text = (self._flowers / "navbar.html").read_text(encoding="utf-8")
        if text.count(_LAST_ENTRY) != 1:
            log.warning("Flower's navigation has changed; the page of the farm is at /farm")
            return None
        return text.replace(_LAST_ENTRY, _LAST_ENTRY + _ENTRY)

    def _task(self) -> str | None:
        text = (self._flowers / "task.html").read_text(encoding="utf-8")
        if text.count(_FLOWERS_BUTTON) != 1 or "extra_scripts" in text:
            log.warning("Flower's page of a task has changed: its Terminate acts without a question")
            return None
        question = (_OURS / "task_end.html").read_text(encoding="utf-8")
        return text.replace(_FLOWERS_BUTTON, _OUR_BUTTON) + question
