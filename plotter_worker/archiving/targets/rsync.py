"""rsync in plotman's own presets: the options added to the user's, and what an rsync daemon lists."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path, PurePath

from common.errors import PlotmanError
from plotter_worker.archiving.targets.definition import ArchiveTarget, last_line
from plotter_worker.archiving.targets.transfer_script import Ended

LOCAL, DAEMON = "local_rsync", "rsyncd"
# By default rsync skips a file of the same size and mtime, whatever its content. With the first option it
# compares the whole content, with the second it always sends the plot.
COMPARE, SEND = "--checksum", "--ignore-times"
FLUSH = "--fsync"
UNFLUSHED = (
    "Target {name}: its rsync has no --fsync (it needs 3.2.4) or refuses it: a power cut there, soon after a "
    "transfer, may lose the plot."
)
_PROGRESS = "--info=progress2 --no-h --outbuf=L"
_DEADLINE_S = 60.0
# rsync --list-only: permissions, size, date, time, name; with --no-h the size has no commas.
_LISTED = re.compile(r"-\S{9,10}\s+(?P<size>[\d,]+)\s+\S+\s+\S+\s+(?P<name>.+)")
# Options of the user that a connection needs; for some the value is the next word.
_CONNECTION = ("--password-file", "--port", "--address", "--sockopts", "--ipv4", "--ipv6", "-4", "-6")
_NOT_FOUND = 23  # of rsync(1): some files were not transferred


class CannotList(PlotmanError):
    """The daemon refuses to list files, or does not answer."""


def is_rsync(target: ArchiveTarget) -> bool:
    """Whether the target runs an rsync that accepts our options."""
    return target.ours is not None and PurePath(target.env["command"]).name == "rsync"


def added_options(target: ArchiveTarget, check: str, *, flush: bool) -> str:
    """Options to add to the user's; "" for the user's own scripts.

    Args:
        check: COMPARE, SEND or "".
        flush: Have the daemon flush the file before rsync ends. Copies on local drives are flushed by plotman
            itself, which works with every version of rsync.
    """
    if not is_rsync(target):
        return ""
    words = [_PROGRESS, *([check] if check else [])]
    if target.ours == DAEMON:
        words += ["--timeout=600", "--contimeout=60", *([FLUSH] if flush else [])]
    return " ".join(words)


def refuses(ended: Ended, option: str) -> bool:
    """Whether rsync failed because one side does not accept the option."""
    return ended.code != 0 and any(option in line for line in ended.last_lines)


def address(env: Mapping[str, str], folder: str) -> str:
    """URL of a folder of the target at its daemon, with a slash at its end. As in the preset's script."""
    suffix = env.get("path_suffix", "").strip("/")
    below = folder.removeprefix(env["site_root"].rstrip("/"))
    return (
        f"rsync://{env['user']}@{env['host']}:{env['rsync_port']}/{env['site']}{below}/"
        f"{suffix + '/' if suffix else ''}"
    )


def listed_bytes(env: Mapping[str, str], environment: Mapping[str, str], url: str) -> int | None:
    """Ask the daemon for the size of a file.

    Args:
        environment: Of the process, with RSYNC_PASSWORD.

    Returns:
        Bytes; None if there is no such file.

    Raises:
        CannotList: The daemon did not answer.
    """
    command = [env["command"], "--list-only", "--no-motd", "--no-h", "-8", "--contimeout=20"]
    try:
        ran = subprocess.run(
            [*command, "--timeout=30", *_connection_options(env["options"]), url],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=dict(environment),
            timeout=_DEADLINE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CannotList(f"{url} was not listed within {_DEADLINE_S:g} s.") from error
    except OSError as error:
        raise CannotList(f"{env['command']} cannot be run ({error.strerror}).") from error
    name = Path(url).name
    for line in ran.stdout.decode("utf-8", "replace").splitlines():
        listed = _LISTED.match(line)
        if listed and listed["name"] == name:
            return int(listed["size"].replace(",", ""))
    if ran.returncode == _NOT_FOUND and b"No such file" in ran.stderr:
        return None
    why = last_line(ran.stderr) or f"rsync {ran.returncode}"
    raise CannotList(f"{url} cannot be listed: {why}")


def _connection_options(options: str) -> list[str]:
    """Select the user's options without which the daemon cannot be reached."""
    words = options.split()
    kept: list[str] = []
    for word, following in pairwise([*words, ""]):
        name, equals, _ = word.partition("=")
        if name in _CONNECTION:
            kept.append(word)
            if not equals and following and not following.startswith("-") and name.startswith("--p"):
                kept.append(following)
    return kept
