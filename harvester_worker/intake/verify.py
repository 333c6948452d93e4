"""Checks that a file is the announced plot: by size, header, and proofs if their library is installed."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from common.errors import PlotRefused, TransferFailed
from common.model.plot_name import PlotName
from common.model.units import counted
from common.system.plotfile import Header, NotAPlot, Verdict, fits_name, read_header, whole
from common.system.proof_libraries import PROOF_LIBRARIES
from common.worker.move_step import StepInterrupted, Stop

# About 80 reads for each proof: a second on an idle hard disk, more on a busy one.
PROVE_TIMEOUT_S = 900.0
# Then the prover begins nothing more, and answers with what it has; the rest is for reads of a slow drive.
PROVE_S = 600.0
PROVER_MEMORY_BYTES = {
    # 2.0 took 448 MB for proofs of a k20 plot, most of it the stacks of its 48 threads.
    "chiapos": 2 << 30,
    "chia_rs": 1 << 30,
}
# Beside that, at k28 or less. 0.53 took 64 MB at k22, 81 MB at k24 and 300 MB at k28, with any number of
# threads, and takes four times that with each step of k, which is by 2.
_GROUP_BYTES = 1 << 30
# Hostile plots of several plotters must not take the memory of several provers.
_prover = threading.Lock()
_KILLED_S = 5.0

_REMEDY = "The source is kept. Check it there (`chia plots check`); `plotman resend` sends a good one again."
_KEEP = "The source is kept. Plot again with software of today, and delete it yourself."


@dataclass(frozen=True, slots=True)
class Proved:
    """text: how a plot was verified, for operators: "30 challenges gave 27 proofs, all valid". proofs: that
    were made, all valid; 0: only its header and size were checked."""

    text: str
    proofs: int = 0


def check_header(path: Path, name: PlotName, size_bytes: int) -> Header:
    """Read the header, compare it with name and size, and check that the file is whole.

    Args:
        path: Of the file to check.
        name: The plot's.
        size_bytes: As announced.

    Raises:
        PlotRefused: They differ, bytes are missing, or it was not made to be farmed.
        OSError: The file cannot be read.
    """
    try:
        header = read_header(path)
    except NotAPlot as error:
        raise PlotRefused(f"{name.name} is not a plot: {error.what}", _REMEDY) from error
    if not fits_name(header, name):
        found = f"k{header.k} {header.plot_id}, format {header.format}"
        raise PlotRefused(f"{name.name} has the header of {found}.", _REMEDY)
    if not header.is_product:
        raise PlotRefused(f"{name.name} is not farmed (format {header.format}): {header.unfarmable}.", _KEEP)
    found_bytes = path.stat().st_size
    if found_bytes != size_bytes:
        raise PlotRefused(f"{name.name} has {found_bytes} bytes, {size_bytes} were announced.", _REMEDY)
    length = whole(path, header)
    if length.verdict is Verdict.TRUNCATED:
        raise PlotRefused(f"{name.name} is not whole: {length.reason}.", _REMEDY)
    return header


def prove(path: Path, header: Header, challenges: int, stop: Stop, python: str = sys.executable) -> Proved:
    """Prove the plot with its format's library, after the proofs of other plots.

    Args:
        challenges: Number to try; 0: none.
        stop: Ends the proofs once it is set.
        python: Interpreter that may have the library.

    Raises:
        PlotRefused: A proof fails.
        TransferFailed: The prover gave no answer.
        StepInterrupted: `stop` was set.
    """
    library = PROOF_LIBRARIES.get(header.format)
    if library is None:
        return Proved(f"header and size (no proofs for format {header.format}){_label(header)}")
    if challenges == 0:
        return Proved(library.checked)
    limits = (str(challenges), str(memory_bytes(library.module, header.k)), str(PROVE_S))
    prover = Path(__file__).with_name("prove.py")
    with _alone(stop):
        answer = _run([python, "-P", str(prover), library.module, str(path), *limits], stop)
    if answer.unopened is not None:
        raise PlotRefused(f"{library.module} cannot open {path.name}: {answer.unopened}.", _REMEDY)
    if wrong := _wrong(answer):
        raise PlotRefused(f"{path.name}: {wrong}.", _REMEDY)
    if answer.missing is not None:
        return Proved(f"{library.checked} ({library} is not installed)")
    return Proved(_verdict(answer), answer.proofs)


def memory_bytes(module: str, k: int | None) -> int:
    """Memory that a prover may use, in bytes.

    Args:
        module: Its library.
        k: Of the plot; None: unknown.
    """
    more = _GROUP_BYTES << max(0, (k or 0) - 28) if module == "chia_rs" else 0
    return PROVER_MEMORY_BYTES[module] + more


@contextmanager
def _alone(stop: Stop) -> Iterator[None]:
    """Wait until this process runs no other prover. Raises StepInterrupted."""
    while not _prover.acquire(timeout=0.2):
        if stop.is_set():
            raise StepInterrupted
    try:
        yield
    finally:
        _prover.release()


def _label(header: Header) -> str:
    return f"; not farmable: {header.unfarmable}" if header.unfarmable else ""


class _Answer(BaseModel):
    """What the prover prints."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    missing: str | None = None
    unopened: str | None = None
    challenges: int = 0
    found: int = 0
    proofs: int = 0
    bad: int = 0
    members: int = 0
    unread: int = 0
    errors: tuple[str, ...] = ()


def _verdict(answer: _Answer) -> str:
    """How a good plot was verified. Only some of a group's proofs are made: each takes seconds at k28."""
    tried, proofs = counted(answer.challenges, "challenge"), counted(answer.proofs, "proof")
    if answer.proofs == answer.found:
        return f"{tried} gave {proofs}, all valid"
    members = f" of {answer.members} members" if answer.members > 1 else ""
    return f"{tried} gave {counted(answer.found, 'quality', 'qualities')}; {proofs}{members}, all valid"


def _wrong(answer: _Answer) -> str | None:
    """What the prover found to be wrong; None if nothing."""
    found = []
    if answer.bad:
        found.append(f"{answer.bad} of {answer.proofs} proofs fail")
    if answer.unread:
        errors = "; ".join(dict.fromkeys(answer.errors))
        found.append(f"reading it fails at {answer.unread} of {answer.challenges} challenges ({errors})")
    if not answer.proofs and not answer.unread and answer.missing is None:
        found.append(f"no proof in {answer.challenges} challenges")
    return "; ".join(found) or None


def _run(command: list[str], stop: Stop) -> _Answer:
    """Run the prover. Raises TransferFailed if it ends by an error and has seen no damage before."""
    prover = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    out, complaint = _outcome(prover, stop)
    with suppress(ValidationError):
        answer = _Answer.model_validate_json(out)
        if prover.returncode == 0 or answer.bad or answer.unread:
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
            # One that hangs with its drive ends with it, and does not keep the others waiting.
            with suppress(subprocess.TimeoutExpired):
                prover.communicate(timeout=_KILLED_S)
