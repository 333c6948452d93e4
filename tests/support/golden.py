"""Golden files: what a user or a program reads, kept as it was when somebody last looked at it.

UPDATE_GOLDEN=1 writes them anew; look at the difference before committing it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).resolve().parents[1] / "unit" / "plotman" / "control" / "golden"


def golden(name: str, found: str, folder: Path = _FOLDER) -> None:
    """Fail where `found` is not what the golden file `name` in `folder` holds."""
    path = folder / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(found, encoding="utf-8")
    assert path.exists(), f"{path} is missing; write it with UPDATE_GOLDEN=1"
    assert found == path.read_text(encoding="utf-8"), f"{name} differs; if that is meant: UPDATE_GOLDEN=1"


def golden_json(name: str, found: Any) -> None:
    golden(name, json.dumps(found, indent=2) + "\n")
