"""The libraries with which plots are proved, and whether this Python has them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec


@dataclass(frozen=True, slots=True)
class ProofLibrary:
    """A library that proves plots of one format.

    module: to import; its package has the same name. least: oldest version that will do; () for any.
    plots: which ones, for users. checked: what is checked without the library.
    """

    module: str
    least: tuple[int, ...]
    plots: str
    checked: str

    def __str__(self) -> str:
        return f"{self.module} >= {'.'.join(map(str, self.least))}" if self.least else self.module

    def is_installed(self) -> bool:
        """Whether this Python has it, new enough. Does not import it."""
        if find_spec(self.module) is None:
            return False
        return not self.least or self._version() >= self.least

    def _version(self) -> tuple[int, ...]:
        try:
            numbers = re.match(r"[\d.]*\d", version(self.module))
        except PackageNotFoundError:
            return ()
        return tuple(map(int, numbers[0].split("."))) if numbers else ()


# Format of a header -> the library for its proofs.
PROOF_LIBRARIES = {
    "v1.0": ProofLibrary("chiapos", (), "plots of chia's first format (.plot)", "header and size"),
    # Earlier versions read another format, which no released farmer farms.
    "PoS2 02": ProofLibrary("chia_rs", (0, 53), "plot groups (.gplot)", "header and whole size"),
}
