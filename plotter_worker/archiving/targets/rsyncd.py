"""What an rsync daemon tells of the files in its module: whether a copy is there, and how long it is."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from common.errors import PlotmanError
from plotter_worker.archiving.targets.programs import last_line

_DEADLINE_S = 60.0
# rsync --list-only: permissions, size, date, time, name; with --no-h the size has no commas.
_LISTED = re.compile(r"-\S{9,10}\s+(?P<size>[\d,]+)\s+\S+\s+\S+\s+(?P<name>.+)")
# Of the user's options, those that are needed to get in at all; some take their value as the next word.
_WAY_IN = ("--password-file", "--port", "--address", "--sockopts", "--ipv4", "--ipv6", "-4", "-6")
_NOT_THERE = 23  # of rsync(1): some files were not transferred


class CannotList(PlotmanError):
    """The daemon lets nobody look, or does not answer."""


def address(env: Mapping[str, str], folder: str) -> str:
    """A folder of the target as its daemon calls it; ends with a slash. As in the preset's script."""
    suffix = env.get("path_suffix", "").strip("/")
    below = folder.removeprefix(env["site_root"].rstrip("/"))
    return (
        f"rsync://{env['user']}@{env['host']}:{env['rsync_port']}/{env['site']}{below}/"
        f"{suffix + '/' if suffix else ''}"
    )


def size_there(env: Mapping[str, str], environment: Mapping[str, str], url: str) -> int | None:
    """Bytes of the file at `url`; None where there is none. Raises CannotLook.

    env: variables of the target. environment: of the process, for RSYNC_PASSWORD.
    """
    command = [env["command"], "--list-only", "--no-motd", "--no-h", "-8", "--contimeout=20"]
    try:
        ran = subprocess.run(
            [*command, "--timeout=30", *way_in(env["options"]), url],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=dict(environment),
            timeout=_DEADLINE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CannotList(f"{url} is not told within {_DEADLINE_S:g} s.") from error
    except OSError as error:
        raise CannotList(f"{env['command']} does not run ({error.strerror}).") from error
    name = Path(url).name
    for line in ran.stdout.decode("utf-8", "replace").splitlines():
        listed = _LISTED.match(line)
        if listed and listed["name"] == name:
            return int(listed["size"].replace(",", ""))
    if ran.returncode == _NOT_THERE and b"No such file" in ran.stderr:
        return None
    said = last_line(ran.stderr) or f"rsync {ran.returncode}"
    raise CannotList(f"{url} cannot be looked at: {said}")


def way_in(options: str) -> list[str]:
    """The user's options without which the daemon is not reached."""
    words = options.split()
    kept: list[str] = []
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, equals, _ = word.partition("=")
        if name in _WAY_IN:
            kept.append(word)
            if not equals and following and not following.startswith("-") and name.startswith("--p"):
                kept.append(following)
    return kept
