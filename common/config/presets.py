"""The archiving targets that need no definition: `local_rsync` and `rsyncd`, as plotman 0.5.3 names them.

Names, variables and what is said to the scripts are those of 0.5.3; the scripts are our own. Each prints
`PATH:BYTES` for the drives mounted below site_root, with the bytes a plain user may still write; where there
is none, for site_root, if that is one itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from common.config.archiving import TargetDefinition

FILTER = "site_path_filter"  # variable of both

# POSIX df: -P keeps each file system on one line, -k counts KiB. Paths may hold spaces: all from the sixth
# word on. They need not be UTF-8. df fails where it cannot read a single one of many mounts: that matters
# only where it says nothing at all, as when ssh fails. site_path_filter is the guydavis fork's: a regular
# expression of grep that the path of a drive must fit. Where none does the script fails, since no plot could
# be moved.
_DRIVES = """export LC_ALL=C
table=$({ask}) || [ -n "$table" ]
drives=$(printf '%s\\n' "$table" | awk -v root="${{site_root%/}}/" \
'NR > 1 {{ path = $6; for (i = 7; i <= NF; i++) path = path " " $i
told = sprintf("%s:%.0f", path, $4 * 1024)
if (index(path, root) == 1) {{ print told; below = 1 }} else if (path "/" == root) itself = told }}
END {{ if (!below && itself) print itself }}')
[ -n "$drives" ] || exit 0
fitting=$(printf '%s\\n' "$drives" | sed 's/:[0-9]*$//' | grep -n -e "$site_path_filter") || {{
code=$?
[ "$code" != 1 ] || echo "site_path_filter fits no drive below $site_root" >&2
exit "$code"
}}
printf '%s\\n' "$drives" | sed -n "$(printf '%s\\n' "$fitting" | sed 's/:.*/p/')"
"""
_OPTIONS = "--preallocate --remove-source-files --skip-compress plot --whole-file"

_LOCAL_SPACE = "#!/bin/sh\nset -eu\n" + _DRIVES.format(ask="df -aPk")
_LOCAL_TRANSFER = """#!/bin/sh
set -eu
# Without the quotes: options are several words.
exec "${command}" ${options} "${source}" "${destination}/${path_suffix}${path_suffix:+/}"
"""


_RSYNCD_SPACE = "#!/bin/sh\nset -eu\n" + _DRIVES.format(ask='ssh -p "${ssh_port}" "${user}@${host}" df -aPk')
_RSYNCD_TRANSFER = """#!/bin/sh
set -eu
below="${destination#"${site_root%/}"}/${path_suffix}${path_suffix:+/}"
# Without the quotes: options are several words.
exec "${command}" ${options} "${source}" "rsync://${user}@${host}:${rsync_port}/${site}${below}"
"""

PRESETS: Mapping[str, TargetDefinition] = MappingProxyType(
    {
        "local_rsync": TargetDefinition(
            env={
                "command": "rsync",
                "options": _OPTIONS,
                "site_root": None,
                "path_suffix": "",
                FILTER: ".*",
            },
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
