"""Proves a plot in a process of its own: `python prove.py LIBRARY PATH CHALLENGES MEMORY_BYTES TIME_S`.

Imports nothing but LIBRARY (chiapos or chia_rs), so that any Python that has it can run this. Messages that a
library prints to fd 1 are discarded. Prints one line of JSON, also if an exception ends the program:

- challenges: tried; unread: of them, those that ended in an error; errors: the first few
- found: proofs that the plot has for them; proofs: those that were made
- bad: of these, those that are not valid; members: plots of the group that they are of
- missing: the library is not installed, or of another version; unopened: it cannot open the plot

chiapos reads a whole table into memory, and a hostile header can choose the table's length. So the memory is
limited, and a machine that is short of memory ends this process first.
"""

from __future__ import annotations

import json
import os
import random
import resource
import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

_ERRORS_KEPT = 3
# A proof of a plot group is computed: 0.1 s at k18, 1.2 s at k26, 5 s at k28, on two cores.
_SOLVED_MAX = 8
_UNREADABLE = (OSError, RuntimeError, ValueError)


class Found(NamedTuple):
    """A proof that the plot has for a challenge.

    member: its plot, of a group. is_valid: makes the proof, and raises one of _UNREADABLE if it cannot.
    """

    challenge: bytes
    member: int
    is_valid: Callable[[], bool]


LookUp = Callable[[bytes], list[Found]]  # raises one of _UNREADABLE


Opener = Callable[[str], LookUp]


def load_v1() -> Opener:
    """Plots of format v1.0, with chiapos, which reads their proofs from the file."""
    from chiapos import DiskProver, Verifier

    _must_have(DiskProver, "get_id get_size get_qualities_for_challenge get_full_proof")
    _must_have(Verifier, "validate_proof")

    def open_v1(path: str) -> LookUp:
        prover, verifier = DiskProver(path), Verifier()
        plot_id, k = prover.get_id(), prover.get_size()

        def is_valid(challenge: bytes, index: int, quality: bytes) -> bool:
            proof = prover.get_full_proof(challenge, index, True)
            return bool(verifier.validate_proof(plot_id, k, challenge, proof) == quality)

        def look_up(challenge: bytes) -> list[Found]:
            qualities = enumerate(prover.get_qualities_for_challenge(challenge))
            return [Found(challenge, 0, partial(is_valid, challenge, *each)) for each in qualities]

        return look_up

    return open_v1


def load_group() -> Opener:
    """Plot groups, with chia_rs. Versions before 0.53 know another format, and not its PlotQualityChain."""
    from chia_rs import PlotQualityChain, Prover, solve_proof, validate_proof_v2
    from chia_rs.sized_bytes import bytes32

    _must_have(Prover, "plot_group_id size get_strength get_meta_group plot_id_for_index")
    _must_have(Prover, "get_qualities_for_challenge")

    def open_group(path: str) -> LookUp:
        prover = Prover(path)
        group_id, k = prover.plot_group_id(), prover.size()
        strength, meta_group = prover.get_strength(), prover.get_meta_group()

        def is_valid(challenge: bytes, quality: PlotQualityChain) -> bool:
            chain, index = quality.chain, quality.plot_index
            proof = solve_proof(chain, prover.plot_id_for_index(index), strength, k)
            if not proof:
                # chia_rs hides a lack of memory. It needs up to 300 MB at k28; a MemoryError is no verdict.
                bytearray((256 << 20) + (2 << k))
                return False
            valid = validate_proof_v2(group_id, index, k, strength, meta_group, bytes32(challenge), proof)
            return bool(valid == chain.get_string(strength))

        def look_up(challenge: bytes) -> list[Found]:
            qualities = prover.get_qualities_for_challenge(bytes32(challenge))
            return [
                Found(challenge, each.plot_index, partial(is_valid, challenge, each)) for each in qualities
            ]

        return look_up

    return open_group


def _must_have(library_class: type, methods: str) -> None:
    """Raises AttributeError: it is of another version."""
    for name in methods.split():
        getattr(library_class, name)


# Library -> what imports it, and how many of the proofs that are found are made; None: all.
LIBRARIES: dict[str, tuple[Callable[[], Opener], int | None]] = {
    "chiapos": (load_v1, None),
    "chia_rs": (load_group, _SOLVED_MAX),
}


def prove(answer: dict[str, Any], library: str, path: str, challenges: int, time_s: float) -> None:
    """Try random challenges, and more of them until there is at least one proof.

    A challenge has one proof on average, and often none; only proofs that exist can be judged. A file that
    lacks its last byte passes nine samples of ten: its size must be checked as well.

    Args:
        answer: Is filled as the checks go on, so that an exception leaves what was seen before.
        time_s: Afterwards no challenge or proof is begun, except for the first proof.
    """
    ends_s = time.monotonic() + time_s
    load, most = LIBRARIES[library]
    try:
        opener = load()
    except (ImportError, AttributeError, TypeError) as error:  # here only: no plot can cause them
        answer["missing"] = str(error)
        return
    try:
        look_up = opener(path)
    except _UNREADABLE as error:
        answer["unopened"] = str(error)
        return
    except MemoryError:
        answer["unopened"] = "its tables do not fit into the memory that a plot needs"
        return
    found: list[Found] = []
    unread: dict[bytes, str] = {}
    answer.update(challenges=0, found=0, proofs=0, bad=0, members=0, unread=0, errors=[])

    def note(challenge: bytes, error: Exception) -> None:
        unread[challenge] = str(error)
        answer.update(unread=len(unread), errors=[*unread.values()][:_ERRORS_KEPT])

    def wanted(tried: int) -> bool:
        if not found and not unread:
            return tried < challenges + 100
        return tried < challenges and time.monotonic() < ends_s

    while wanted(answer["challenges"]):
        answer["challenges"] += 1
        challenge = secrets.token_bytes(32)
        try:
            found += look_up(challenge)
        except _UNREADABLE as error:
            note(challenge, error)
        answer["found"] = len(found)
    members = set()
    for each in spread(found, most):
        if answer["proofs"] and time.monotonic() > ends_s:
            break
        try:
            answer["bad"] += not each.is_valid()
        except _UNREADABLE as error:
            note(each.challenge, error)
            continue
        members.add(each.member)
        answer["proofs"] += 1
        answer["members"] = len(members)


def spread(found: list[Found], most: int | None) -> list[Found]:
    """At most this number of them, at random, of as many members as possible."""
    if most is None:
        return found
    earlier: Counter[int] = Counter()
    ranked = []
    for each in random.sample(found, len(found)):
        ranked.append((earlier[each.member], each))
        earlier[each.member] += 1
    ranked.sort(key=lambda pair: pair[0])
    return [each for _, each in ranked[:most]]


def main() -> None:
    library, path, challenges, memory_bytes, time_s = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_DATA, (int(memory_bytes),) * 2)
    Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    answers = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    answer: dict[str, Any] = {}
    with os.fdopen(answers, "w") as out:
        try:
            prove(answer, library, path, int(challenges), float(time_s))
        finally:
            # A panic of chia_rs is no Exception; its traceback ends the program.
            json.dump(answer, out)


if __name__ == "__main__":
    main()
