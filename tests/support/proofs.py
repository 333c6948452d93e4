"""What a farmer would find on a drive, asked of the chia library itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

_PROVE = """
import sys, chiapos
prover, verifier, good, bad = chiapos.DiskProver(sys.argv[1]), chiapos.Verifier(), 0, 0
for number in range(40):
    challenge = bytes([number]) * 32
    for index, quality in enumerate(prover.get_qualities_for_challenge(challenge)):
        proof = prover.get_full_proof(challenge, index)
        valid = verifier.validate_proof(prover.get_id(), prover.get_size(), challenge, proof) == quality
        good, bad = good + valid, bad + (not valid)
sys.exit(0 if good and not bad else 1)
"""


def prove(chia: Path, plot: Path) -> bool:
    """Whether the plot gives valid proofs. chia: the program, whose Python has the library."""
    argv = [chia.with_name("python"), "-c", _PROVE, plot]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0
