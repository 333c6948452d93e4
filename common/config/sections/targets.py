"""The predefined archiving targets of plotman 0.5.3, `local_rsync` and `rsyncd`.

Names, variables and arguments are as in 0.5.3, the scripts are our own. Each script prints `PATH:BYTES` for
the drives mounted below site_root (without any: for site_root itself, if mounted), with the bytes that an
unprivileged user may still write. `site_path_filter` is a basic regular expression of grep; the C library
compiles it as grep does, while Python's syntax is another one.
"""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from common.config.sections.archiving import TargetDefinition

FILTER = "site_path_filter"  # variable of both

# POSIX df: -P keeps each file system on one line, -k counts KiB. The path starts at the sixth word, may
# contain spaces, and need not be UTF-8. df fails if it cannot read one of many mounts; that matters only if
# it prints nothing, for example because ssh failed. site_path_filter is a key of the guydavis fork: a regular
# expression of grep that the path of a drive must match. The script fails if none does, since no plot could
# be moved.
_DRIVES = """export LC_ALL=C
table=$({ask}) || [ -n "$table" ]
drives=$(printf '%s\\n' "$table" | awk -v root="${{site_root%/}}/" \
'NR > 1 {{ path = $6; for (i = 7; i <= NF; i++) path = path " " $i
line = sprintf("%s:%.0f", path, $4 * 1024)
if (index(path, root) == 1) {{ print line; below = 1 }} else if (path "/" == root) itself = line }}
END {{ if (!below && itself) print itself }}')
[ -n "$drives" ] || exit 0
fitting=$(printf '%s\\n' "$drives" | sed 's/:[0-9]*$//' | grep -n -e "$site_path_filter") || {{
code=$?
[ "$code" != 1 ] || echo "site_path_filter matches no drive below $site_root" >&2
exit "$code"
}}
printf '%s\\n' "$drives" | sed -n "$(printf '%s\\n' "$fitting" | sed 's/:.*/p/')"
"""
_OPTIONS = "--preallocate --remove-source-files --skip-compress plot --whole-file"

_LOCAL_SPACE = "#!/bin/sh\nset -eu\n" + _DRIVES.format(ask="df -aPk")
_LOCAL_TRANSFER = """#!/bin/sh
set -eu
# No quotes: options are several words.
exec "${command}" ${options} "${source}" "${destination}/${path_suffix}${path_suffix:+/}"
"""


_RSYNCD_SPACE = "#!/bin/sh\nset -eu\n" + _DRIVES.format(ask='ssh -p "${ssh_port}" "${user}@${host}" df -aPk')
_RSYNCD_TRANSFER = """#!/bin/sh
set -eu
below="${destination#"${site_root%/}"}/${path_suffix}${path_suffix:+/}"
# No quotes: options are several words.
exec "${command}" ${options} "${source}" "rsync://${user}@${host}:${rsync_port}/${site}${below}"
"""

PRESETS: Mapping[str, TargetDefinition] = MappingProxyType(
    {
        "local_rsync": TargetDefinition(
            env={"command": "rsync", "options": _OPTIONS, "site_root": None, "path_suffix": "", FILTER: ".*"},
            disk_space_script=_LOCAL_SPACE,
            transfer_script=_LOCAL_TRANSFER,
            transfer_process_name="{command}",
            transfer_process_argument_prefix="{site_root}",
        ),
        "rsyncd": TargetDefinition(
            env={
                "command": "rsync",
                "options": f"--bwlimit=80000 {_OPTIONS}",
                "rsync_port": "873",
                "ssh_port": "22",
                "user": None,
                "host": None,
                "site_root": None,
                "site": None,
                "path_suffix": "",
                FILTER: ".*",
            },
            disk_space_script=_RSYNCD_SPACE,
            transfer_script=_RSYNCD_TRANSFER,
            transfer_process_name="{command}",
            transfer_process_argument_prefix="rsync://{user}@{host}:{rsync_port}/{site}",
        ),
    }
)


_NO_REGEX = "is not a regular expression of grep"
_LONGEST_FILTER = 500
_MOST_REPEATS = 1000  # grep copies a repeated part that many times; nested repeats take all memory
_STRUCT_BYTES = 1024  # regex_t has 64 with glibc and less with musl
_MESSAGE_BYTES = 200

_INTERVAL = re.compile(r"\\\{(\d*),?(\d*)\\\}")
# An escaped letter, a bracket expression, or one letter.
_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\[[:.=].*?[:.=]\]|[^\]])*\]|.")


def filter_flaw(pattern: str) -> str | None:
    """What is wrong with `pattern`, as the rest of a sentence; None: nothing."""
    if len(pattern) > _LONGEST_FILTER:
        return f"has {len(pattern)} characters; the limit is {_LONGEST_FILTER}"
    if any(ord(letter) < ord(" ") for letter in pattern):
        return "contains a line break or another control character"
    tokens = _TOKEN.findall(pattern)
    if any(re.fullmatch(r"\\[1-9]", token) for token in tokens):
        return "has a back reference (\\1), which may take for ever"
    repeats = [int(most or least or 1) for least, most in _INTERVAL.findall(pattern)]
    if math.prod(max(1, number) for number in repeats) > _MOST_REPEATS:
        return f"repeats more than {_MOST_REPEATS} times"
    # grep refuses it; the library reads it as a list of letters.
    if any(token.startswith("[:") and token.endswith(":]") for token in tokens):
        return f"{_NO_REGEX}: a class is written [[:space:]]"
    return _compiled(pattern, ())[0]


def fitting_drives(pattern: str, paths: Iterable[str]) -> list[str]:
    """The paths that match `pattern`, a pattern without flaw."""
    return _compiled(pattern, paths)[1]


def _compiled(pattern: str, paths: Iterable[str]) -> tuple[str | None, list[str]]:
    library = ctypes.CDLL(None)
    regex = ctypes.create_string_buffer(_STRUCT_BYTES)
    code = library.regcomp(regex, pattern.encode("utf-8", "surrogateescape"), 0)
    if code:
        text = ctypes.create_string_buffer(_MESSAGE_BYTES)
        library.regerror(code, regex, text, ctypes.c_size_t(_MESSAGE_BYTES))
        return f"{_NO_REGEX}: {text.value.decode('utf-8', 'replace')}", []
    try:
        return None, [path for path in paths if _fits(library, regex, path)]
    finally:
        library.regfree(regex)


def _fits(library: ctypes.CDLL, regex: ctypes.Array[ctypes.c_char], path: str) -> bool:
    text = path.encode("utf-8", "surrogateescape")
    return int(library.regexec(regex, text, ctypes.c_size_t(0), None, 0)) == 0
