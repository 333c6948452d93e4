"""plotman of this checkout as a farmer installs it, in a virtual environment of its own: the editable install
that tests run in takes 15 ms longer to start."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from functools import cache
from pathlib import Path

NAME = "plotman"
ROOT = Path(__file__).resolve().parents[1]
_FOLDER = Path(__file__).with_name(".venv-plotman")


@cache
def program() -> Path:
    """Its command, installed anew at the first call of a process. Ends the benchmark where that fails."""
    sys.stderr.write(f"Installing {NAME} into {_FOLDER} ...\n")
    if not (_FOLDER / "bin" / "pip").exists():
        venv.create(_FOLDER, with_pip=True)
    shutil.rmtree(ROOT / "build", ignore_errors=True)  # deleted modules would come along from there
    for options in ((), ("--force-reinstall", "--no-deps")):  # what it needs; then itself, as it is now
        install = [_FOLDER / "bin" / "pip", "install", "--quiet", *options, ROOT]
        done = subprocess.run(install, check=False)
        if done.returncode:
            raise SystemExit(f"{NAME} cannot be installed here (pip exits {done.returncode}): see above.")
    return _FOLDER / "bin" / "plotman"
