"""Checks that a file is the announced plot: by size, header, and proofs if chiapos is installed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import PlotRefused, TransferFailed
from common.model.plot_name import PlotName
from common.model.units import counted
from common.system.plotfile import Header, NotAPlot, expected_size_bytes, read_header
from common.worker.move_step import StepInterrupted, Stop

# About 80 reads for each proof: a second on an idle hard disk, more on a busy one.
PROVE_TIMEOUT_S = 900.0
# chiapos 2.0 took 448 MB for proofs of a k20 plot, most of it the stacks of its 48 threads.
PROVER_MEMORY_BYTES = 2 << 30

_REMEDY = "The source is kept. Check it there (`chia plots check`); `plotman resend` sends a good one again."


def check_header(path: Path, name: PlotName, size_bytes: int) -> Header:
    """Read the header and compare it with name and size. Raises PlotRefused if they differ."""
    try:
        header = read_header(path)
    except NotAPlot as error:
        raise PlotRefused(f"{name.name} is not a plot: {error.what}", _REMEDY) from error
    if header.plot_id not in (None, name.plot_id) or header.k not in (None, name.k):
        raise PlotRefused(f"{name.name} has the header of k{header.k} {header.plot_id}.", _REMEDY)
    expected = expected_size_bytes(header)
    if expected is not None and size_bytes < expected:
        raise PlotRefused(f"{name.name} is truncated: {size_bytes} of {expected} bytes.", _REMEDY)
    return header


def prove(path: Path, header: Header, challenges: int, stop: Stop, python: str = sys.executable) -> str:
    """Prove the plot with chiapos.

    Args:
        challenges: Number to try; 0: none.
        stop: Ends the proofs once it is set.
        python: Interpreter that may have chiapos.

    Returns:
        How the plot was verified: "30 challenges gave 27 proofs, all valid".

    Raises:
        PlotRefused: A proof fails.
        TransferFailed: The prover gave no answer.
        StepInterrupted: `stop` was set.
    """
    if challenges == 0:
        return "header and size"
    if header.format != "v1.0":
        return f"header and size (no proofs for format {header.format})"
    prover = Path(__file__).with_name("prove.py")
    limits = (str(challenges), str(PROVER_MEMORY_BYTES))
    answer = _run([python, "-P", str(prover), str(path), *limits], stop)
    if "missing" in answer:
        return "header and size (chiapos is not installed)"
    if "unopened" in answer:
        raise PlotRefused(f"chiapos cannot open {path.name}: {answer['unopened']}.", _REMEDY)
    if wrong := _wrong(answer):
        raise PlotRefused(f"{path.name}: {wrong}.", _REMEDY)
    tried, proofs = answer["challenges"], answer["proofs"]
    return f"{counted(tried, 'challenge')} gave {counted(proofs, 'proof')}, all valid"


def _wrong(answer: Mapping[str, Any]) -> str | None:
    """What the prover found to be wrong; None if nothing."""
    tried, proofs, bad, unread = (answer[key] for key in ("challenges", "proofs", "bad", "unread"))
    found = []
    if bad:
        found.append(f"{bad} of {proofs} proofs fail")
    if unread:
        errors = "; ".join(dict.fromkeys(answer["errors"]))
        found.append(f"reading it fails at {unread} of {tried} challenges ({errors})")
    if not proofs and not unread:
        found.append(f"no proof in {tried} challenges")
    return "; ".join(found) or None


def _run(command: list[str], stop: Stop) -> dict[str, Any]:
    prover = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    out, complaint = _outcome(prover, stop)
    if prover.returncode == 0:
        answer: dict[str, Any] = json.loads(out)
        return answer
    last = (complaint.strip().splitlines() or [f"exit code {prover.returncode}"])[-1]
    raise TransferFailed(f"The prover ended without an answer: {last}.", "The check will be tried again.")


def _outcome(prover: subprocess.Popen[str], stop: Stop) -> tuple[str, str]:
    """Wait for the prover; returns its stdout and stderr. Kills it if the wait ends early."""
    deadline_s = time.monotonic() + PROVE_TIMEOUT_S
    try:
        while True:
            try:
                return prover.communicate(timeout=0.2)
            except subprocess.TimeoutExpired as error:
                if stop.is_set():
                    raise StepInterrupted from None
                if time.monotonic() > deadline_s:
                    raise TransferFailed(
                        f"Proofs took more than {PROVE_TIMEOUT_S:.0f} s.",
                        "Check whether the drive is failing or very busy.",
                    ) from error
    finally:
        if prover.poll() is None:
            prover.kill()
            prover.communicate()
