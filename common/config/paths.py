"""Finds plotman.yaml, and reads its section `farm` alone.

For verbs that only read the board: to load all of plotman.yaml takes longer than the rest of their work.
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import ValidationError

from common.config import document
from common.config.base import BELOW, VERSION
from common.config.farm import Farm


def default_path() -> Path:
    """$PLOTMAN_CONFIG if it is set, else plotman.yaml in the user's configuration folder, as in 0.5.3 (Linux:
    ~/.config/plotman/plotman.yaml)."""
    if named := os.environ.get("PLOTMAN_CONFIG"):
        return Path(named).expanduser()
    return user_folder() / "plotman.yaml"


def user_folder() -> Path:
    """plotman's folder among the user's configurations."""
    import platformdirs

    return platformdirs.user_config_path("plotman")


def farm_section(path: Path) -> Farm | None:
    """Read the section `farm`; None if the section, the version or the text has a mistake, which a complete
    reading reports. Never raises."""
    try:
        text = document.parse(path.read_bytes())
        if text.flaws or not isinstance(text.data, dict) or text.data.get("version") != [VERSION]:
            return None
        return Farm.model_validate(text.data.get("farm") or {}, context={BELOW: str(path.absolute().parent)})
    except (OSError, ValidationError):
        return None
