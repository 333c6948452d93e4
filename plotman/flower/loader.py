"""Our templates beside Flower's own, by Tornado's application setting `template_loader`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from tornado.template import Loader, Template

log = logging.getLogger(__name__)

_OURS = Path(__file__).parent / "templates"
# Flower has no place for further pages in its bar: ours is put behind its last one (navbar.html, flower 2.2).
_LAST_ENTRY = """>Broker</a>
        </li>
"""
# Flower's button acts on its first click, bound to this id (task.html and flower.js, flower 2.2). Under
# another id only our script answers to it, which asks first.
_TERMINATE = 'id="task-terminate"'
_ASKING = 'id="plotman-terminate"'
_ENTRY = """        <li class="nav-item">
          <a class="nav-link{% if active_tab == 'farm' %} active{% end %}"
            href="{{ reverse_url('farm') }}"
            {% if active_tab == 'farm' %}aria-current="page"{% end %}>Farm</a>
        </li>
"""


class TemplateLoader(Loader):
    """Flower's templates, ours, its bar with one entry more, and its page of a task with a question."""

    def __init__(self, flowers: str, **settings: Any) -> None:
        super().__init__(flowers, **settings)
        self._flowers = Path(flowers)
        self._made: dict[str, Template] = {}

    def load(self, name: str, parent_path: str | None = None) -> Template:
        path = self.resolve_path(name, parent_path=parent_path)
        if path not in self._made:
            text = self._text(path)
            if text is None:
                return super().load(name, parent_path)
            self._made[path] = Template(text, name=path, loader=self)
        return self._made[path]

    def _text(self, path: str) -> str | None:
        """None: the template is as Flower has it."""
        if (_OURS / path).is_file():
            return (_OURS / path).read_text(encoding="utf-8")
        changed = {"navbar.html": self._bar, "task.html": self._task}.get(path)
        return changed() if changed else None

    def _bar(self) -> str | None:
        text = (self._flowers / "navbar.html").read_text(encoding="utf-8")
        if text.count(_LAST_ENTRY) != 1:
            log.warning("Flower's navigation is not as we know it; the page of the farm is at /farm")
            return None
        return text.replace(_LAST_ENTRY, _LAST_ENTRY + _ENTRY)

    def _task(self) -> str | None:
        text = (self._flowers / "task.html").read_text(encoding="utf-8")
        if text.count(_TERMINATE) != 1 or "extra_scripts" in text:
            log.warning("Flower's page of a task is not as we know it: its Terminate acts without asking")
            return None
        return text.replace(_TERMINATE, _ASKING) + (_OURS / "task_end.html").read_text(encoding="utf-8")
