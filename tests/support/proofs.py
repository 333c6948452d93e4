"""What a farmer would find on a drive, asked of the libraries for proofs themselves."""

from __future__ import annotations

import hashlib
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


def farmed(group: Path) -> set[int]:
    """Indexes of the plots of a group that gave a valid proof. Fails if one gave another proof."""
    from chia_rs import Prover, solve_proof, validate_proof_v2
    from chia_rs.sized_bytes import bytes32

    prover, good = Prover(str(group)), set[int]()
    group_id, k = prover.plot_group_id(), prover.size()
    strength, meta = prover.get_strength(), prover.get_meta_group()
    for number in range(40):
        challenge = bytes32(hashlib.sha256(bytes([number])).digest())
        for each in prover.get_qualities_for_challenge(challenge):
            if each.plot_index in good:
                continue
            proof = solve_proof(each.chain, prover.plot_id_for_index(each.plot_index), strength, k)
            found = validate_proof_v2(group_id, each.plot_index, k, strength, meta, challenge, proof)
            assert found == each.chain.get_string(strength)
            good.add(each.plot_index)
    return good
