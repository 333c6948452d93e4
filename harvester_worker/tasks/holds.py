"""Tasks by which operators drain a harvester's drives, and lift that."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from common import names
from common.errors import OrderRefused
from common.model import holds
from common.model.holds import HoldOrder, LiftOrder
from common.model.snapshot import DriveUse
from harvester_worker.service import Harvester, current


@shared_task(name=names.DRAIN_DRIVES, throws=(OrderRefused,))
def drain(host: str, **order: Any) -> str:
    """Stop sending new plots to one drive of `host`, or to all of them. Plots on their way are taken in.
    Arguments: HoldOrder, of which `dir` names the drive; without it all are meant.

    Returns:
        A sentence for the operator.
    """
    message = holds.read_order(host, order, HoldOrder)
    harvester = current(host)
    key = _key(harvester, message)
    what = "takes no more plots on its drives" if key == holds.ALL else f"takes no more plots on {key}"
    answer = harvester.holds.hold(message, key, what)
    harvester.publish_now()  # so that a `status` after the answer shows it
    return f"{host} {answer}"


@shared_task(name=names.UNDRAIN_DRIVES, throws=(OrderRefused,))
def undrain(host: str, **order: Any) -> dict[str, Any]:
    """Lift the drain of one drive of `host`, of the host as a whole, or with everything=true of the host and
    each of its drives. The use in plotman.yaml stays. Arguments: LiftOrder.

    Returns:
        `answer` (a sentence), `lifted`, and in an order for the host `drained` (what is still drained): the
        host by its name, drives by their paths.
    """
    harvester = current(host)
    message = holds.read_order(host, order, LiftOrder)
    key = _key(harvester, message)
    what = "takes plots on its drives" if key == holds.ALL else f"takes plots on {key}"
    keys, words, details = holds.lifted(message, key, harvester.holds.drains())
    answer = harvester.holds.lift(keys, what, words)
    harvester.publish_now()
    return {"answer": f"{host} {answer}{_but(harvester, key)}", **details}


def _but(harvester: Harvester, key: str) -> str:
    """Words for drives that plotman.yaml keeps closed."""
    drives = harvester.drives.paths() if key == holds.ALL else [key]
    uses = [(drive, harvester.configured_use(drive)) for drive in drives]
    shut = [f"{drive} is {use}" for drive, use in uses if use is not DriveUse.ACTIVE]
    return f"; by its plotman.yaml {', '.join(shut)}" if shut else ""


def _key(harvester: Harvester, order: HoldOrder) -> str:
    return holds.key_of(order, "drive", harvester.drives.paths(), harvester.holds)
