"""Heights of the network and of the fork, for the plan: as given, of chia's full node, or known. The node is
asked by its RPC (chia-blockchain 2.7.5, chia/full_node/full_node_rpc_api.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from pydantic import ConfigDict, Field

from common.config.sections.replot import HEIGHT_MOST
from common.system.chia_service import (
    FULL_NODE,
    ChiaForm,
    ChiaSettings,
    ChiaSilent,
    Connection,
    ServiceSettings,
    UnknownQuestion,
    connect,
    read_settings,
)
from common.system.probe import Hanging, Probe

_PATIENCE_S = 10.0  # for all questions; a node that catches up answers after seconds
_MOST_BYTES = 1 << 20  # of an answer; the real ones have 5 kB
_WIDEST = 0xFFFFFFFF  # chia's heights have 32 bits


class _Strict(ChiaForm):
    model_config = ConfigDict(strict=True)


class _Peak(_Strict):
    height: Annotated[int, Field(ge=0, le=HEIGHT_MOST)]


class _Sync(_Strict):
    synced: bool


class _State(_Strict):
    peak: _Peak | None
    sync: _Sync


class _StateAnswer(_Strict):
    blockchain_state: _State


class _Constants(_Strict):
    HARD_FORK2_HEIGHT: Annotated[int, Field(ge=0, le=_WIDEST)] | None = None


class _ConstantsAnswer(_Strict):
    constants: _Constants


class _FullNode(ServiceSettings):
    selected_network: str = Field("mainnet", max_length=100)


class _Settings(ChiaSettings):
    full_node: _FullNode


@dataclass(frozen=True, slots=True)
class NodeState:
    """What chia's full node answers.

    height: of its peak; None: it has no block yet. synced: whether that is the height of the network.
    fork_height: None: none is set, or this chia does not say. network: as chia's settings name it.
    """

    height: int | None
    synced: bool
    fork_height: int | None
    network: str = "mainnet"


@dataclass(frozen=True, slots=True)
class Heights:
    """What the plan's dates are reckoned from.

    height: of the network now; None: reckoned from a known one. fork_height: None: not known.
    height_source: option, node or known. fork_source: setting, node or None.
    node: its answer; ChiaSilent: it has none; None: it is not asked.
    """

    height: int | None
    height_source: str
    fork_height: int | None
    fork_source: str | None
    node: NodeState | ChiaSilent | None = None

    @property
    def remarks(self) -> Iterator[str]:
        """What an operator should know of the node."""
        if isinstance(self.node, ChiaSilent):
            yield str(self.node)
        elif self.node is not None:
            yield from self._of_node(self.node)

    def _of_node(self, node: NodeState) -> Iterator[str]:
        name = FULL_NODE.name
        if node.network != "mainnet":
            yield f"{name} is of the network {node.network}: the main network has other heights."
        if self.height_source == "known" and not _is_current(node):
            yield (
                f"{name} is not synced, so its height is not used: wait until `chia show -s` says that "
                "it is, or give --height."
            )
        if self.fork_source == "setting" and node.fork_height not in (None, self.fork_height):
            yield (
                f"replot.fork_height is {self.fork_height:,}, and {name} names {node.fork_height:,}: correct "
                "or remove replot.fork_height, unless the node is out of date."
            )


def heights(height: int | None, fork_height: int | None, root: str | None) -> Heights:
    """Find the heights; ask the node if there is one. Raises nothing if it does not answer.

    Args:
        height: of the network, as given; goes before the node's.
        fork_height: of the settings; goes before the node's.
        root: replot.chia_root; None: no node is asked.
    """
    if root is None:
        return choose(height, fork_height, None)
    try:
        return choose(height, fork_height, ask_node(root))
    except ChiaSilent as error:
        return choose(height, fork_height, error)


def choose(height: int | None, fork_height: int | None, node: NodeState | ChiaSilent | None) -> Heights:
    """Choose the heights of the plan. Pure. Arguments as of `heights`; node: as in `Heights`."""
    answered = node if isinstance(node, NodeState) else None
    source = "known" if height is None else "option"
    if height is None and answered and _is_current(answered):
        height, source = answered.height, "node"
    fork_source = None if fork_height is None else "setting"
    if fork_height is None and answered and answered.fork_height is not None:
        fork_height, fork_source = answered.fork_height, "node"
    return Heights(height, source, fork_height, fork_source, node)


def _is_current(node: NodeState) -> bool:
    return node.synced and node.height is not None


def ask_node(root: str, patience_s: float = _PATIENCE_S) -> NodeState:
    """Ask the full node.

    Args:
        root: folder of chia's settings.
        patience_s: for all of it, in seconds.

    Raises:
        ChiaSilent: it does not answer in this time, or its settings cannot be read.
    """
    probe = Probe()
    try:
        # In a thread of its own: a socket's time-out limits neither an answer that trickles nor a folder that
        # hangs.
        return probe.run(root, lambda: _ask(root, patience_s), patience_s)
    except Hanging as error:
        raise ChiaSilent(
            f"{FULL_NODE.name} did not answer within {patience_s:g} s.", FULL_NODE.check
        ) from error
    finally:
        probe.close()


def _ask(root: str, timeout_s: float) -> NodeState:
    settings = read_settings(root, FULL_NODE, _Settings)
    node = settings.full_node
    with connect(root, FULL_NODE, settings, node.rpc_port, timeout_s, _MOST_BYTES) as connection:
        state = connection.ask("get_blockchain_state", _StateAnswer).blockchain_state
        fork_height = _fork_height(connection)
    height = None if state.peak is None else state.peak.height
    return NodeState(height, state.sync.synced, fork_height, node.selected_network)


def _fork_height(connection: Connection) -> int | None:
    try:
        found = connection.ask("get_constants", _ConstantsAnswer).constants.HARD_FORK2_HEIGHT
    except UnknownQuestion:  # chia before 2.7.2
        return None
    # 2.7.5 has 0xFFFFFFFA for a fork that is not set, its tests 0xFFFFFFFF.
    return None if found is None or found > HEIGHT_MOST else found
