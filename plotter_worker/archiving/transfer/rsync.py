"""rsync's command line, and what its exit codes mean. Needs rsync 3.2.4 or newer (--fsync)."""

from __future__ import annotations

from collections.abc import Sequence

from common.errors import TransferFailed

# Between two signs of life. During its fsync the receiver sends some, however slow the drive is. Between two
# paths of one machine nothing can be cut; a drive may be slow to spin up.
LOCAL_TIMEOUT_S = 600
NETWORK_TIMEOUT_S = 60


def command(source: str, target: str, options: Sequence[str] = (), rsync: str = "rsync") -> list[str]:
    """argv that sends `source` into the part file `target`; run again, it goes on where it ended.

    --append-verify: a resume reads what is there on both sides, sends the rest, and mends what differs.
    --fsync: without it a power cut can leave a part of full size made of zeros.
    --no-inc-recursive and the like make no difference for one file. Nothing here may delete the source.
    """
    return [
        rsync,
        "--append-verify",
        "--fsync",
        "--outbuf=L",
        "--no-h",  # else bytes are written with commas
        "--info=progress2",
        "--out-format=DONE %n %l %b %C",
        *options,
        "--",
        source,
        target,
    ]


# rsync(1), EXIT VALUES, with what was seen to lead to each.
_MEANING = {
    1: ("rsync does not know an option", "Install rsync 3.2.4 or newer."),
    2: ("the two rsyncs do not understand each other", "Install the same version on both machines."),
    3: ("source or destination is missing", "Look whether both drives are mounted."),
    5: ("the harvester did not let us in", "It will be asked for another door; see its log if this stays."),
    4: ("the harvester's door refuses an option", "Install the same version of plotman on both machines."),
    10: ("the connection broke, or nobody listens", "It goes on where it ended."),
    11: ("writing failed: the drive is full or failing", "Look at dmesg and at the drive's free space."),
    12: ("the receiving rsync ended early", "Look at dmesg, and whether memory ran out."),
    13: ("rsync had trouble with its diagnostics", "It goes on where it ended."),
    14: ("the two rsyncs lost each other", "It goes on where it ended."),
    20: ("somebody stopped rsync", "It goes on where it ended."),
    22: ("rsync got no memory", "Free some, or run less beside it."),
    23: ("the source could not be read, or the destination not be written", "Look at both drives."),
    24: ("the source vanished meanwhile", "Find out who moves plots beside plotman."),
    30: ("nothing moved for too long", "Look whether one of the drives hangs."),
    35: ("the harvester does not answer", "Check its network, its firewall, harvester.receiver_address."),
    255: (
        "ssh did not get through",
        "Try it as the user who runs plotman: ssh -o BatchMode=yes USER@HOST true",
    ),
}


def failure(code: int, complaint: str) -> TransferFailed:
    """What an exit code other than 0 means. code: negative for a signal. complaint: rsync's stderr, whose
    first line says most.
    """
    lines = (line.strip(" @") for line in complaint.splitlines())  # ssh frames its warnings with @
    said = next((line for line in lines if line), "")
    detail = f": {said}" if said else ""
    if code < 0:
        return TransferFailed(f"rsync was killed by signal {-code}{detail}.", "It goes on where it ended.")
    what, cure = _MEANING.get(code, ("rsync failed", "Look at both drives."))
    return TransferFailed(f"{what} (rsync {code}){detail}.", cure)
