"""Command lines of chia-blockchain's `chia` 2.7.5: the commands that plot, and their options."""

from __future__ import annotations

from collections.abc import Sequence

from plotter_worker.plotters.options import Grammar, Options, parse, program

# Options of `chia` itself that take a value and may stand before the command.
_GROUP_VALUES = frozenset({"--root-path", "--keys-root-path", "--passphrase-file"})

# `chia plots create`: click.
CREATE = Grammar(
    values={
        "-k": "k", "--size": "k",
        "-n": "n", "--num": "n",
        "-t": "tmp", "--tmp_dir": "tmp",
        "-2": "tmp2", "--tmp2_dir": "tmp2",
        "-d": "dst", "--final_dir": "dst",
        "-b": "buffer", "--buffer": "buffer",
        "-r": "threads", "--num_threads": "threads",
        "-u": "buckets", "--buckets": "buckets",
        "-a": "fingerprint", "--alt_fingerprint": "fingerprint",
        "-c": "contract", "--pool_contract_address": "contract",
        "-f": "farmer", "--farmer_public_key": "farmer",
        "-p": "pool", "--pool_public_key": "pool",
        "-i": "id", "--plotid": "id",
        "-m": "memo", "--memo": "memo",
    },
    flags={
        "-e": "e", "--nobitfield": "e",
        "-x": "x", "--exclude_final_dir": "x",
        "-D": "daemon", "--connect_to_daemon": "daemon",
        "--override-k": "override",
        "-h": "help", "--help": "help",
    },
)  # fmt: skip

# `chia plotters chiapos|madmax|bladebit MODE`: argparse. One table for all three: -v and -w mean different
# things, but neither meaning matters here.
PLOTTERS = Grammar(
    values={
        "-k": "k", "--size": "k",
        "-n": "n", "--count": "n",
        "-t": "tmp", "--tmp_dir": "tmp",
        "-2": "tmp2", "--tmp_dir2": "tmp2",
        "-d": "dst", "--final_dir": "dst",
        "-b": "buffer", "--buffer": "buffer",
        "-r": "threads", "--threads": "threads",
        "-u": "buckets", "--buckets": "buckets",
        "-s": "stripes", "--stripes": "stripes",
        "-a": "fingerprint", "--alt_fingerprint": "fingerprint",
        "-c": "contract", "--contract": "contract",
        "-f": "farmer", "--farmerkey": "farmer",
        "-p": "pool", "--pool-key": "pool",
        "-i": "id", "--id": "id",
        "-m": "memo", "--memo": "memo",
        "-K": "rmulti2", "--rmulti2": "rmulti2",
        "--buckets3": "buckets3",
        "--compress": "compression",
        "--cache": "cache", "--device": "device",
        "--f1-threads": "f1", "--fp-threads": "fp", "--c-threads": "ct",
        "--p2-threads": "p2", "--p3-threads": "p3",
    },
    flags={
        "-e": "e", "--nobitfield": "e",
        "-x": "x", "--exclude_final_dir": "x",
        "-D": "daemon", "--connect-to-daemon": "daemon",
        "--override-k": "override",
        "-w": "w", "--waitforcopy": "w", "--warmstart": "w",
        "-G": "tmptoggle", "--tmptoggle": "tmptoggle",
        "--nonuma": "nonuma", "--no-cpu-affinity": "affinity", "--verbose": "verbose",
        "--alternate": "alternate", "--no-t1-direct": "t1direct", "--no-t2-direct": "t2direct",
        "--disk-128": "disk128", "--disk-16": "disk16",
        "-h": "help", "--help": "help",
    },
    abbreviations=True,
)  # fmt: skip

# With madMAx -v has a value (buckets of phase 3), with bladebit it has none.
MADMAX_WRAPPED = Grammar({**PLOTTERS.values, "-v": "buckets3"}, PLOTTERS.flags, abbreviations=True)
BLADEBIT_WRAPPED = Grammar(PLOTTERS.values, {**PLOTTERS.flags, "-v": "verbose"}, abbreviations=True)


def command(argv: Sequence[str], *words: str) -> list[str] | None:
    """Arguments after `chia WORDS...`; None if another command runs."""
    name, rest = program(argv)
    if name != "chia":
        return None
    while rest and rest[0].startswith("-"):
        rest = rest[2:] if rest[0] in _GROUP_VALUES else rest[1:]
    return rest[len(words) :] if tuple(rest[: len(words)]) == words else None


def options(argv: Sequence[str], grammar: Grammar, *words: str) -> Options | None:
    """Options of `chia WORDS...`; None if another command runs, or it only prints its help."""
    arguments = command(argv, *words)
    if arguments is None:
        return None
    found = parse(arguments, grammar)
    return None if "help" in found.flags else found
