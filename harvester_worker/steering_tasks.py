"""Tasks by which persons drain a harvester's drives, and release them."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from common import holds, names
from common.errors import OrderRefused
from common.holds import HoldOrder
from common.snapshot import DriveUse
from harvester_worker.service import Harvester, current


@shared_task(name=names.DRAIN_DRIVES, throws=(OrderRefused,))
def drain(host: str, **order: Any) -> str:
    """No new plots on a drive of `host`, or on none of them; what is on its way lands. Arguments: HoldOrder,
    of which `dir` names a drive. Returns a sentence. Raises OrderRefused."""
    message = holds.read_order(host, order)
    harvester = current(host)
    key = _key(harvester, message)
    what = "takes no more plots" if key == holds.ALL else f"takes no more plots on {key}"
    answer = harvester.steering.hold(message, key, what)
    harvester.publish_now()  # whoever gets the answer, and looks, sees it
    return f"{host} {answer}"


@shared_task(name=names.UNDRAIN_DRIVES, throws=(OrderRefused,))
def undrain(host: str, **order: Any) -> str:
    """The opposite of `drain`, for the same drive or for all. What plotman.yaml says of a drive stays."""
    harvester = current(host)
    key = _key(harvester, holds.read_order(host, order))
    what = "takes plots" if key == holds.ALL else f"takes plots on {key}"
    answer = harvester.steering.let_go(key, what)
    harvester.publish_now()
    use = DriveUse.ACTIVE if key == holds.ALL else harvester.configured_use(key)
    but = "" if use is DriveUse.ACTIVE else f", but its plotman.yaml says {use}"
    return f"{host} {answer}{but}"


def _key(harvester: Harvester, order: HoldOrder) -> str:
    return holds.key_of(order, "drive", harvester.drives.paths(), harvester.steering)
