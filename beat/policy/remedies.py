"""What a farmer can do about each rule that says no. The one place for it: `plotman why` prints these."""

from __future__ import annotations

from common.model.snapshot import Wait

_ROOM = (
    "Wait for plots in the making to end or move on; or make fewer at a time (scheduling.tmpdir_max_jobs), "
    "or clear out what is not needed: `plotman cleanup` shows leftovers."
)
_STATE = "Mount the directory, make it, or look at its drive (`dmesg`); it is taken again by itself."

REMEDIES: dict[str, str] = {
    # Starting plots.
    "paused": "`plotman unpause plotting --host {host}` starts them again.",
    "drained": "`plotman undrain` lets plots come there again.",
    "windows": "Wait, or change scheduling.windows in its plotman.yaml.",
    "failures": "Read the plotter's log, mend what it names, then `plotman unpause plotting --host {host}`.",
    "max jobs": "Wait for a plot to end, or raise scheduling.global_max_jobs.",
    "stagger": "Wait, or lower scheduling.global_stagger_m.",
    "farm max jobs": "Wait for a plot to end anywhere, or raise farm.max_jobs on the scheduler's machine.",
    "farm stagger": "Wait, or lower farm.stagger_m on the scheduler's machine.",
    "tmp": "Name one under directories.tmp in its plotman.yaml.",
    "tmp max jobs": "Wait for a plot there to end, or raise scheduling.tmpdir_max_jobs.",
    "tmp phase": "Wait for a plot there to get further, or change scheduling.tmpdir_stagger_phase_*.",
    "tmp state": _STATE,
    "tmp2 state": _STATE,
    "dst state": _STATE,
    "tmp room": _ROOM,
    "tmp2 room": _ROOM,
    "dst room": "See why finished plots do not leave dst: `plotman why {host}` tells for each.",
    "trouble": "Mend what it names in its plotman.yaml; if {host} is newer, upgrade the scheduler's machine.",
    # Moving them.
    "open": "Wait until its writer is done; `plotman status` shows plots in the making.",
    "truncated": "Its plotter died or its copy was cut: delete it.",
    "foreign": "plotman leaves it alone. Look what it is, and move it elsewhere.",
    "misnamed": "It is a plot: keep it. Rename it with `mv` to what it should be called. It is then moved, "
    "or compared with the copy that a drive has.",
    "refused": "Check it (`chia plots check`). Where it is good, mend what the reason names, then "
    "`plotman resend`.",
    "archiver": "Run `plotman up` on {host}; its archiver.log says why it stopped.",
    "archiving paused": "`plotman unpause archiving --host {host}` sends plots again.",
    "retry": "Mend what the reason names; it is tried again by itself.",
    "moves": "Wait, or let more move at a time: archiving.concurrency.",
    "harvester": "Start `plotman up` on the harvester, or name others in archiving.harvesters.",
    "its copy": "Start `plotman up` on that harvester; where it is gone for good: `plotman resend`.",
    "drives": "Mount another drive where harvester.drives looks, free room on one, or `plotman undrain` one.",
    "target": "Run the target's disk space script by hand: it must print `folder:bytes` lines.",
    # What no policy says, for there is nobody to ask.
    "silent": "Look at that machine: `systemctl status plotman`. Its plots go on meanwhile. "
    "Where it is gone for good: `plotman forget {host}`.",
    "no scheduler": "Start `plotman up` on the machine with farm.scheduler: true.",
    "no archiving": "Name who takes the plots in section archiving of its plotman.yaml.",
    "stalled": "Look at what it names; `plotman kill` ends it and deletes its unfinished files.",
    "suspended": "`plotman resume` lets it go on.",
    "drive": "`plotman dirs` shows all drives; mount or mend it, or `plotman undrain` it.",
}


def cure(rule: str, host: str) -> str:
    """What to do where `rule` says no on `host`; empty where nothing is known."""
    return REMEDIES.get(rule, "").replace("{host}", host)


def cure_of(wait: Wait) -> str:
    return cure(wait.rule, wait.host)
