"""The notice board: every Redis command of plotman, and nothing else.

Truth lies in process tables, logs and drives. Whatever stands here may be wiped at any moment and fills
again, so nothing below keeps the only copy of anything.
"""

from common.store.board import Board
from common.store.lease import Lease

__all__ = ["Board", "Lease"]
