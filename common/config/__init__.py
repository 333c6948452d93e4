"""plotman.yaml: models, loading with all mistakes at once, checks, reload, migration, sample."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from common.config.loader import find_problems, load
    from common.config.model import Config
    from common.config.problems import Level, Problem
else:

    def __getattr__(name: str) -> object:
        """Load a name on its first use: the models take long to build, and not every module needs them."""
        from importlib import import_module

        homes = {
            "Config": "model",
            "Level": "problems",
            "Problem": "problems",
            "find_problems": "loader",
            "load": "loader",
        }
        if name not in homes:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{homes[name]}"), name)


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


__all__ = ["Config", "Level", "Problem", "default_path", "find_problems", "load"]
