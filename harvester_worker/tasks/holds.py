"""Tasks by which operators drain a harvester's drives, and lift that."""

from __future__ import annotations

from typing import Any

from common import names
from common.model import holds
from common.model.holds import HoldOrder, LiftOrder
from common.model.snapshot import DriveUse
from common.worker.task import task
from harvester_worker.service import Harvester, current


@task(names.DRAIN_DRIVES)
def drain(order: HoldOrder) -> str:
    """Stop sending new plots to one drive of a host, or to all of them. Plots on their way are taken in.

    Args:
        order: `dir` names the drive, without it all drives are meant.

    Returns:
        A sentence for the operator.
    """
    harvester = current(order.host)
    key = _key(harvester, order)
    what = "takes no more plots on its drives" if key == holds.ALL else f"takes no more plots on {key}"
    answer = harvester.holds.hold(order, key, what)
    harvester.publish_now()  # so that a `status` after the answer shows it
    return f"{order.host} {answer}"


@task(names.UNDRAIN_DRIVES)
def undrain(order: LiftOrder) -> dict[str, Any]:
    """Lift the drain of one drive of a host, of the host as a whole, or with everything=true of the host and
    each of its drives. The use in plotman.yaml stays.

    Returns:
        `answer` (a sentence), `lifted`, and in an order for the host `drained` (what is still drained): the
        host by its name, drives by their paths.
    """
    harvester = current(order.host)
    key = _key(harvester, order)
    what = "takes plots on its drives" if key == holds.ALL else f"takes plots on {key}"
    keys, words, details = holds.lifted(order, key, harvester.holds.drains())
    if key != holds.ALL and harvester.evacuations.orders.of(key) is not None:
        what = f"takes no plots on {key} yet"
    answer = harvester.holds.lift(keys, what, words)
    harvester.publish_now()
    return {"answer": f"{order.host} {answer}{_but(harvester, key)}", **details}


def _but(harvester: Harvester, key: str) -> str:
    """Words for drives that plotman.yaml, or an evacuation, keeps closed."""
    drives = harvester.drives.paths() if key == holds.ALL else [key]
    uses = [(drive, harvester.configured_use(drive)) for drive in drives]
    shut = [f"{drive} is {use}" for drive, use in uses if use is not DriveUse.ACTIVE]
    leaving = [drive for drive in drives if harvester.evacuations.orders.of(drive) is not None]
    words = f"; by its plotman.yaml {', '.join(shut)}" if shut else ""
    # The order itself keeps the drive drained.
    return words + (f"; still evacuated: {', '.join(leaving)}" if leaving else "")


def _key(harvester: Harvester, order: HoldOrder) -> str:
    return holds.key_of(order, "drive", harvester.drives.paths(), harvester.holds)
