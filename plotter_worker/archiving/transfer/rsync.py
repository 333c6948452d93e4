"""rsync's command line, and what its exit codes mean. Needs rsync 3.2.4 or newer (--fsync)."""

from __future__ import annotations

from collections.abc import Sequence

from common.errors import TransferFailed

# Longest time without data or a keep-alive; the receiver sends keep-alives during its fsync. On one machine
# no connection can break, but a drive may be slow to spin up.
LOCAL_TIMEOUT_S = 600
NETWORK_TIMEOUT_S = 60


def command(source: str, target: str, options: Sequence[str] = (), rsync: str = "rsync") -> list[str]:
    """Build the argv that sends `source` to the part file `target`; a second run resumes the first.

    --append-verify: a resume compares what both sides have, sends the rest, and corrects differences.
    --fsync: without it a power cut can leave a part of full size full of zeros.
    No option may delete the source.
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


# rsync(1), EXIT VALUES, with the observed causes.
_MEANING = {
    1: ("rsync does not know an option", "Install rsync 3.2.4 or newer."),
    2: ("the two rsyncs do not understand each other", "Install the same version on both machines."),
    3: ("source or destination is missing", "Check that both drives are mounted."),
    5: ("the harvester refused the password", "It is tried again; if that fails, see the harvester's log."),
    4: (
        "the harvester's receiver refuses an option",
        "Install the same version of plotman on both machines.",
    ),
    10: ("the connection broke, or nothing listens there", "It resumes where it stopped."),
    11: ("writing failed: the drive is full or failing", "Check dmesg, and the drive's free space."),
    12: ("the receiving rsync ended early", "Check dmesg, and whether memory ran out."),
    13: ("rsync had trouble with its diagnostics", "It resumes where it stopped."),
    14: ("the two rsyncs lost each other", "It resumes where it stopped."),
    20: ("rsync was stopped by a signal", "It resumes where it stopped."),
    22: ("rsync got no memory", "Free memory on both machines."),
    23: ("the source could not be read, or the destination not written", "Check both drives."),
    24: ("the source disappeared during the transfer", "Find the program that moves plots besides plotman."),
    30: ("no data moved for too long", "Check whether one of the drives hangs."),
    35: ("the harvester does not answer", "Check its network, its firewall, harvester.receiver_address."),
    255: ("ssh cannot connect", "Try it as the user who runs plotman: ssh -o BatchMode=yes USER@HOST true"),
}


def failure(code: int, stderr: str) -> TransferFailed:
    """Explain an exit code other than 0.

    Args:
        code: Negative for a signal.
        stderr: rsync's; its first line says most.
    """
    lines = (line.strip(" @") for line in stderr.splitlines())  # ssh frames its warnings with @
    first = next((line for line in lines if line), "")
    detail = f": {first}" if first else ""
    if code < 0:
        return TransferFailed(f"rsync was killed by signal {-code}{detail}.", "It resumes where it stopped.")
    what, cure = _MEANING.get(code, ("rsync failed", "Check both drives."))
    return TransferFailed(f"{what} (rsync {code}){detail}.", cure)
