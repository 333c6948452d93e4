"""The Celery app with which verbs send tasks."""

from __future__ import annotations

from plotman.app import make_app
from plotman.control.farm import settings

app = make_app(settings())
