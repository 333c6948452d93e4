"""Scripts that do not run: why, in words."""

from __future__ import annotations

import errno
from pathlib import Path


def cannot_run(program: Path, error: OSError) -> tuple[str, str]:
    """Why the system did not start a program, and what to do."""
    if error.errno == errno.ENOEXEC:
        return f"{program} has no #! line", "Begin it with #!/bin/sh, say."
    if error.errno == errno.ENOENT and program.exists():
        return f"{program} names a program in its #! line that is not there", "Correct the line."
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return f"{program} is not there", "Correct the path in archiving.target_definitions."
    if error.errno == errno.EACCES:
        return f"{program} may not be run", f"Allow it: chmod +x {program}"
    return f"{program} does not run ({error.strerror})", f"Try it: {program}"


def last_line(output: bytes) -> str:
    """The last words of a program, for people; "" where it said nothing."""
    lines = output.decode("utf-8", "replace").replace("\r", "\n").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")[:300]
