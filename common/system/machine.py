"""Which run of which machine this is."""

from __future__ import annotations

from pathlib import Path


def boot_id() -> str:
    """Of the running kernel: a new one with each start of the machine, random(4)."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
