"""The notice board: every Redis command of plotman, and nothing else.

Truth lies in process tables, logs and drives. The board may be wiped at any moment and fills again, so it
never holds the only copy of anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from common.store.board import Board
    from common.store.lease import Lease
else:

    def __getattr__(name: str) -> object:
        """Load a class on its first use: both import redis-py, which takes long."""
        from importlib import import_module

        homes = {"Board": "common.store.board", "Lease": "common.store.lease"}
        if name not in homes:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(homes[name]), name)


__all__ = ["Board", "Lease"]
