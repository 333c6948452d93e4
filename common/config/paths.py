"""Where this machine's broker is, read from plotman.yaml without its other sections.

For verbs that only look: to load and to check all of a plotman.yaml takes longer than the rest of their work.
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import ValidationError

from common.config import document
from common.config.base import BELOW, VERSION
from common.config.farm import Farm


def default_path() -> Path:
    """$PLOTMAN_CONFIG if it is set, else plotman.yaml in the user's configuration folder, where 0.5.3 has
    it too (Linux: ~/.config/plotman/plotman.yaml)."""
    if named := os.environ.get("PLOTMAN_CONFIG"):
        return Path(named).expanduser()
    import platformdirs

    return platformdirs.user_config_path("plotman") / "plotman.yaml"


def farm_section(path: Path) -> Farm | None:
    """The section `farm`; None where anything about it, the version or the text as a whole is not as it
    should be: reading all of the file then tells what. Never raises."""
    try:
        text = document.parse(path.read_bytes())
        if text.flaws or not isinstance(text.data, dict) or text.data.get("version") != [VERSION]:
            return None
        return Farm.model_validate(text.data.get("farm") or {}, context={BELOW: str(path.absolute().parent)})
    except (OSError, ValidationError):
        return None
