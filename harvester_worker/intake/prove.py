"""Proves a plot with chiapos, in a process of its own: `python prove.py PATH CHALLENGES MEMORY_BYTES`.

Prints one line of JSON: challenges, proofs, bad (proofs that are not valid), unread (challenges that ended
in an error), errors (the first few); or `missing` if chiapos is not installed, `unopened` if it cannot open
the plot. Imports nothing but chiapos, so that any Python that has it can run this. chiapos prints messages of
its own to fd 1 from C++; they are discarded.

chiapos reads a whole table into memory, and a hostile header can choose the table's length. So the memory is
limited, and a machine that is short of memory ends this process first.
"""

from __future__ import annotations

import json
import os
import resource
import secrets
import sys
from pathlib import Path
from typing import Any

_ERRORS_KEPT = 3


def prove(path: str, challenges: int) -> dict[str, Any]:
    """Try random challenges, and more of them until there is at least one proof.

    A challenge has one proof on average, and often none; only proofs that exist can be judged. A file that
    lacks its last byte passes nine samples of ten: its size must be checked as well.
    """
    try:
        from chiapos import DiskProver, Verifier  # may be missing, which is an answer
    except ImportError as error:
        return {"missing": str(error)}
    try:
        prover = DiskProver(path)
    except (RuntimeError, ValueError) as error:
        return {"unopened": str(error)}
    except MemoryError:
        return {"unopened": "its tables do not fit into the memory that a plot needs"}
    verifier, plot_id, k = Verifier(), prover.get_id(), prover.get_size()
    tried = proofs = bad = unread = 0
    errors: list[str] = []
    while tried < challenges or (not proofs and not unread and tried < challenges + 100):
        tried += 1
        challenge = secrets.token_bytes(32)
        try:
            for index, quality in enumerate(prover.get_qualities_for_challenge(challenge)):
                proof = prover.get_full_proof(challenge, index, True)
                proofs += 1
                bad += verifier.validate_proof(plot_id, k, challenge, proof) != quality
        except (RuntimeError, ValueError) as error:
            unread += 1
            errors.append(str(error))
    counts = {"challenges": tried, "proofs": proofs, "bad": bad, "unread": unread}
    return {**counts, "errors": errors[:_ERRORS_KEPT]}


def main() -> None:
    memory_bytes = int(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    answers = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    with os.fdopen(answers, "w") as out:
        json.dump(prove(sys.argv[1], int(sys.argv[2])), out)


if __name__ == "__main__":
    main()
