"""What an operator can do about each rule that stops a start or a move. `plotman why` prints it."""

from __future__ import annotations

import re
import shlex
from enum import IntEnum

from common.model.clock import CLOCK_CURE
from common.model.snapshot import Wait

_ROOM = (
    "Wait until running plots end or advance; or run fewer at a time (scheduling.tmpdir_max_jobs), or delete "
    "files that are not needed: `plotman cleanup` lists leftovers."
)
_SIZE = "Name a folder on a larger drive in section directories, or write a smaller k."
_DRAINED = "`plotman undrain {host}:DIR`, with the directory in the reason, allows plots there again."
_STATE = "Mount or create the directory, or check its drive (`dmesg`). plotman then uses it again."

REMEDIES: dict[str, str] = {
    # Starting plots.
    "paused": "`plotman unpause plotting --host {host}` ends the pause.",
    "starts none": "Run `plotman plot` in another terminal of {host}; or end what runs there, and run "
    "`plotman up`.",
    "drained": "`plotman undrain {place}` allows plots there again.",
    "tmp drained": _DRAINED,
    "tmp2 drained": _DRAINED,
    "dst drained": _DRAINED,
    # `plotman why` says this instead of "paused" or "drained" if the host as a whole is drained.
    "drained host": "`plotman undrain {host}` allows plots there again.",
    "draining": "harvester.draining of plotman.yaml on {host} names it: if it shall take plots again, "
    "remove it there.",
    "disabled": "harvester.disabled of plotman.yaml on {host} names it: if it shall be used again, remove it "
    "there.",
    "drained drives": "`plotman undrain HOST:DIR`, or HOST if all its drives are drained, allows plots there "
    "again; `plotman dirs` shows them. Or mount another drive of harvester.drives.",
    "windows": "Wait, or change scheduling.windows in its plotman.yaml.",
    "refused order": "plotman orders again by itself. If the reason stays, correct what it names on {host}.",
    "clock": CLOCK_CURE,
    "full folder": "Do what the reason says, or name another folder (farm.state, logging.plots).",
    "failures": "Read the plotter's log, fix the cause, then `plotman unpause plotting --host {host}`.",
    "max jobs": "Wait for a plot to end, or raise scheduling.global_max_jobs.",
    "gpus": "Wait for a plot to end, or name more GPUs in plotting.gpus, or raise plotting.jobs_per_gpu.",
    "stagger": "Wait, or lower scheduling.global_stagger_m.",
    "farm max jobs": "Wait for a plot to end anywhere, or raise farm.max_jobs on the scheduler's machine.",
    "farm stagger": "Wait, or lower farm.stagger_m on the scheduler's machine.",
    "tmp": "Add one to directories.tmp in its plotman.yaml.",
    "tmp max jobs": "Wait for a plot there to end, or raise scheduling.tmpdir_max_jobs.",
    "tmp phase": "Wait until a plot there advances, or change scheduling.tmpdir_stagger_phase_*.",
    "tmp state": _STATE,
    "tmp2 state": _STATE,
    "dst state": _STATE,
    "tmp size": _SIZE,
    "tmp2 size": _SIZE,
    "dst size": _SIZE,
    "tmp room": _ROOM,
    "tmp2 room": _ROOM,
    "dst room": "Find out why finished plots do not leave dst: `plotman why {host}` shows each.",
    "trouble": "Correct its plotman.yaml or restart plotman on {host}; if that is a newer plotman, upgrade "
    "the scheduler's machine.",
    # Moving them.
    "open": "Wait until the file is complete; `plotman status` shows running plots.",
    "truncated": "Its plotter died or its copy was interrupted: delete it.",
    "foreign": "plotman leaves it alone. Check what it is, and move it elsewhere.",
    "misnamed": "It is a plot: keep it. Rename it with `mv` to the name in the reason. plotman then moves "
    "it, or compares it with the copy that a drive has.",
    "refused": "Check it (`chia plots check`). If it is good, fix the cause in the reason, then "
    "`plotman resend {plot} --host {host}`.",
    "archiver": "If it ran before, its archiver.log on {host} says why it stopped. `plotman archive` starts "
    "only what moves plots.",
    "archiving paused": "`plotman unpause archiving --host {host}` sends plots again.",
    "same plot": "plotman moves one file of a plot at a time and compares the others with the copy on the "
    "drive. If they are one folder under two names or of two plotters, keep one in plotman.yaml; else delete "
    "one.",
    "taken in": "If that harvester has the plot, delete this file. Else start `plotman up` there, name it in "
    "archiving.harvesters, or `plotman forget` it if it is lost for good.",
    "retry": "Fix the cause in the reason; plotman tries again by itself.",
    "moves": "Wait, or allow more at a time: archiving.concurrency.",
    "harvester": "Start `plotman up` on the harvester, or name others in archiving.harvesters.",
    "its copy": "Start `plotman up` on that harvester; if it is lost for good: "
    "`plotman resend {plot} --host {host}`.",
    "drives": "Mount another drive of harvester.drives, or free space on one.",
    "target": "Run the target's disk space script by hand: it must print `folder:bytes` lines.",
    "evacuation": "Mount or repair the drive. `plotman evacuate {place} --stop` ends its evacuation.",
    "evacuating": "`plotman evacuate {place} --stop` ends its evacuation.",
    "replot paused": "`plotman replot resume --host {host}` ends the pause, `plotman replot stop --host "
    "{host}` the order.",
    "replot done": "`plotman replot stop --host {host}` ends the order.",
    "replot stopped": "Do what the reason says; nothing is deleted meanwhile. `plotman replot stop --host "
    "{host}` ends the order.",
    # `plotman why` adds these; no rule of the policy gives them.
    "silent": "Check that machine: `systemctl status plotman`. If it is lost for good: "
    "`plotman forget {host}`.",
    "stopped": "Start `plotman up` there (`systemctl start plotman`).",
    "redis": "Correct Redis; `plotman status` says what is wrong with it. {host} then reports by itself.",
    "no scheduler": "Start `plotman up` on the scheduler's machine: of several, the one with "
    "farm.scheduler: true.",
    "no archiving": "Name harvesters or a target in section archiving of its plotman.yaml.",
    "stalled": "Remove the cause in the reason: plotters try again by themselves, chia within five minutes. "
    "Only if that does not help: `plotman kill {plot} --host {host}` ends it and deletes its files, also of "
    "a plot that waits for its last copy.",
    "suspended": "`plotman resume {plot} --host {host}` continues it.",
    "drive": "Mount or repair it; `plotman dirs` shows all drives.",
    "full": "Mount another drive of harvester.drives, or free space on this one.",
}


class Harm(IntEnum):
    """How much a wait matters to an operator."""

    NONE = 0  # the farm is busy: it passes by itself
    WANTED = 1  # an operator or plotman.yaml wants it so
    FILE = 2  # a plot or a file stays where it is
    STOPS = 3  # no plot starts, or none moves, on a host, in a directory or to a drive


_BUSY = frozenset({
    "max jobs", "gpus", "stagger", "farm max jobs", "farm stagger", "tmp max jobs", "tmp phase", "moves",
    "open",
})  # fmt: skip
_WANTED = frozenset({
    "paused", "starts none", "drained", "tmp drained", "tmp2 drained", "dst drained", "drained host",
    "draining", "disabled", "windows", "archiving paused",
})  # fmt: skip
# They end when running plots end; without running plots, they do not.
_ENDS_WITH_JOBS = frozenset({"tmp room", "tmp2 room"})
_OF_FILES = frozenset({
    "truncated", "foreign", "misnamed", "refused", "same plot", "taken in", "retry", "its copy",
})  # fmt: skip


def harm(wait: Wait, jobs: int) -> Harm:
    """Judge a wait. A rule of a newer beat, unknown here, stops something.

    Args:
        jobs: running plots on its host.
    """
    numbers = wait.numbers
    # A drive with room is busy: it receives as many plots as it may.
    is_queue = wait.rule == "drives" and numbers.get("free_bytes", -1) >= numbers.get("needs_bytes", 0)
    if wait.rule in _BUSY or is_queue or (wait.rule in _ENDS_WITH_JOBS and jobs):
        return Harm.NONE
    if wait.rule in _WANTED:
        return Harm.WANTED
    return Harm.FILE if wait.rule in _OF_FILES else Harm.STOPS


def remedy(rule: str, host: str, subject: str | None = None) -> str:
    """Return what to do if `rule` stops `subject` on `host`; empty if the rule is not known.

    Args:
        subject: a directory or drive, or what names a plot; None: the host as a whole.
    """
    place = "PLACE" if subject is None else shlex.quote(f"{host}:{subject}")
    plot = "PLOT" if subject is None else shlex.quote(subject)
    words = {"{host}": shlex.quote(host), "{place}": place, "{plot}": plot}
    # All at once: a path may have {plot} in it, whose text would break the quotes of the path.
    return re.sub(r"\{\w+\}", lambda found: words.get(found[0], found[0]), REMEDIES.get(rule, ""))
