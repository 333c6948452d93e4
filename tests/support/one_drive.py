"""The smallest machine that a worker runs on: a harvester with a single drive."""

from __future__ import annotations

import os
from pathlib import Path

import yaml


def one_drive(folder: Path, broker_url: str, host: str) -> dict[str, str]:
    """Lay it out in `folder`; the environment that names its plotman.yaml."""
    (folder / "drive").mkdir()
    settings = {
        "version": [2],
        "farm": {"host": host, "broker": broker_url, "state": str(folder / "state"), "flower": False},
        "harvester": {
            "drives": [str(folder / "drive")],
            "plain_folders": True,
            "proofs": 0,
            "receiver_port": 0,
        },
    }
    path = folder / "plotman.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return os.environ | {"PLOTMAN_CONFIG": str(path)}
