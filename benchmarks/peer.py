"""plotman 0.5.3 from PyPI, in a virtual environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from functools import cache
from pathlib import Path

NAME = "plotman 0.5.3"
_FOLDER = Path(__file__).with_name(".venv-peer")
# What of today's packages its own old requirements cannot be built or run with.
_HELD = "cython<3\nsetuptools<81\nmarshmallow<4\n"


@cache
def program() -> Path:
    """Its command, installed at the first call. Ends the benchmark where that fails."""
    command = _FOLDER / "bin" / "plotman"
    if command.exists():
        return command
    sys.stderr.write(f"Installing {NAME} into {_FOLDER} ...\n")
    venv.create(_FOLDER, with_pip=True)
    held = _FOLDER / "held"
    held.write_text(_HELD, encoding="utf-8")
    install: list[str | Path] = [
        _FOLDER / "bin" / "pip",
        "install",
        "--quiet",
        "plotman==0.5.3",
        "setuptools<81",
    ]
    done = subprocess.run(install, env=os.environ | {"PIP_CONSTRAINT": str(held)}, check=False)
    if done.returncode:
        raise SystemExit(f"{NAME} cannot be installed here (pip exits {done.returncode}): see above.")
    return command


def environment(folder: Path) -> dict[str, str]:
    """It reads its plotman.yaml below XDG_CONFIG_HOME, and writes its own logs below the others."""
    own = {
        "XDG_CONFIG_HOME": str(folder),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "XDG_DATA_HOME": str(folder / "data"),
    }
    return os.environ | own


def config_file(folder: Path) -> Path:
    """Where it looks for its plotman.yaml with `environment(folder)`."""
    return folder / "plotman" / "plotman.yaml"
