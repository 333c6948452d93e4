"""Libraries that plotman does without, unless plotman.yaml asks for what needs them."""

from __future__ import annotations

from importlib.util import find_spec

from common.config.farm import Harvester
from common.system.machine import pip_install

UNPROVEN = "needs chiapos, which is not installed: only header and size of plots are checked"
PROVE = f"Install it: {pip_install('proofs')}. Or write proofs: 0, to check header and size only."


def cannot_prove(section: Harvester) -> bool:
    """Whether proofs are asked for that this Python, which makes them, has no library for."""
    return section.proofs > 0 and find_spec("chiapos") is None
