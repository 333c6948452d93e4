"""`python -m benchmarks NAME|all [--quick|--long]`: run one of them, or one after the other."""

from __future__ import annotations

import subprocess
import sys
import time

NAMES = (
    "dispatch",
    "watching",
    "deciding",
    "thousand",
    "dashboard",
    "free_space",
    "moving",
    "command_line",
    "memory",
    "inventory",
    "eta",
)
# What these take for --quick.
_QUICK = {"deciding": ("--rounds", "3", "--hosts", "10"), "thousand": ("--hosts", "20", "--seconds", "5")}


def main() -> None:
    words = sys.argv[1:]
    if not words or words[0] not in (*NAMES, "all"):
        raise SystemExit(f"usage: python -m benchmarks all|{'|'.join(NAMES)} [--quick|--long]")
    chosen = NAMES if words[0] == "all" else (words[0],)
    failed = [name for name in chosen if not run(name, words[1:])]
    if failed:
        raise SystemExit(f"Failed: {', '.join(failed)}.")


def run(name: str, options: list[str]) -> bool:
    """One benchmark, in a process of its own; whether it went well."""
    if name in _QUICK:
        options = [word for word in options if word not in ("--quick", "--long")]
        options += _QUICK[name] if "--quick" in sys.argv else ()
    began = time.monotonic()
    code = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options], check=False).returncode
    sys.stderr.write(f"{name}: {time.monotonic() - began:.0f} s\n")
    return code == 0


if __name__ == "__main__":
    main()
