"""Makes small plots of the new proof of space, for `quickstart --replot`.

`python -m plotman.quickstart.new_plots FOLDER K COUNT` prints the path of each plot once it is there.
It needs chia_rs 0.53 or newer, as proofs do. The keys of the plots are random and lost: they are to look at.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
from pathlib import Path

from common.errors import PlotmanError

STRENGTH = 2  # the least that the network takes
_CONTRACT_BYTES = 32
# m/12381/8444/3/0: the plot's own key, of chia's key derivation.
_LOCAL_PATH = (12381, 8444, 3, 0)


def must_be_possible() -> None:
    """Raise PlotmanError if chia_rs is missing here, or too old."""
    try:
        from chia_rs import create_v2_single_plot_group  # noqa: F401
    except ImportError as error:
        raise PlotmanError(
            f"Plots of the new proof of space cannot be made here: {error}.",
            "Install chia_rs 0.53 or newer beside plotman: pip install 'plotman[proofs]' does.",
        ) from error


def make(
    folder: Path, k: int, contract: bytes, farmer_seed: bytes, meta_group: int = 0, strength: int = STRENGTH
) -> Path:
    """Make a plot group of one plot: k18 takes 0.2 s and 660 kB. It has its name once it is whole.

    Args:
        folder: for the file.
        k: an even number from 18 on.
        contract: puzzle hash of a pool contract, 32 bytes.
        farmer_seed: of the farmer's key, 32 bytes.
        meta_group: 0 to 255.
        strength: 2 to k - 3.

    Raises:
        ImportError: chia_rs is missing or too old.
        OSError: the plot cannot be written.
    """
    from chia_rs import AugSchemeMPL, compute_plot_group_id_v2, create_v2_single_plot_group
    from chia_rs.sized_bytes import bytes32

    master = AugSchemeMPL.key_gen(secrets.token_bytes(32))
    farmer = AugSchemeMPL.key_gen(farmer_seed).get_g1()
    local = master
    for step in _LOCAL_PATH:
        local = AugSchemeMPL.derive_child_sk(local, step)
    ours = local.get_g1()
    taproot_seed = hashlib.sha256(bytes(ours + farmer) + bytes(ours) + bytes(farmer)).digest()
    plot_key = ours + farmer + AugSchemeMPL.key_gen(taproot_seed).get_g1()
    group_id = compute_plot_group_id_v2(strength, plot_key, None, bytes32(contract))
    path = folder / f"plot-k{k}-{group_id.hex()}.gplot"
    partial = path.with_name(f"{path.name}.partial")
    memo = contract + bytes(farmer) + bytes(master)
    create_v2_single_plot_group(str(partial), k, strength, group_id, 0, meta_group, memo)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.rename(path)
    return path


def main() -> None:
    folder, k, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    contract, farmer_seed = secrets.token_bytes(_CONTRACT_BYTES), secrets.token_bytes(32)
    for _ in range(count):
        print(make(folder, k, contract, farmer_seed), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
