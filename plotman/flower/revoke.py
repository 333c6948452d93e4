"""Flower's Terminate: for plots whose worker is away, and where Flower asks nobody for a password.

Flower calls out to all workers at once; who is not there then never hears of it. A plot goes on without its
worker, so its end is ordered through its host's queue, where the order waits for the worker.

Flower refuses all of its buttons without a password, unless it is opened to every web page that a browser on
this machine shows (FLOWER_UNAUTHENTICATED_API, flower 2.2). Ending a plot is what a farmer needs: that button
works, where the page that asks is Flower's own.
"""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from flower.api.control import TaskRevoke
from tornado.web import HTTPError, authenticated

from common.errors import PlotmanError
from common.model.address import is_loopback_address
from common.names import KILL
from plotman.flower.page import farm_now


class Revoke(TaskRevoke):
    """Revoke and Terminate; with a password as Flower does it."""

    def prepare(self) -> None:
        options = self.application.options
        if options.basic_auth or options.auth or self.unauthenticated_api:
            super().prepare()
        elif not is_our_page(
            self.request.host,
            self.request.headers.get("Origin"),
            self.request.headers.get("Sec-Fetch-Site"),
        ):
            raise HTTPError(
                403, "Without flower_auth only Flower's own page, on this machine, may end tasks."
            )

    @authenticated
    async def post(self, taskid: str) -> None:
        """Flower's name for the argument."""
        ends = self.get_argument("terminate", False, type=bool) and not self.application.options.read_only
        host = await asyncio.get_running_loop().run_in_executor(None, _plots_on, taskid) if ends else None
        if host is None:
            await super().post(taskid)
            return
        order = {"kwargs": {"host": host, "plot": taskid}, "ignore_result": True}
        await self.run_blocking("plot.kill", taskid, self.capp.send_task, KILL, **order)
        self.write({"message": f"{host} ends the plot; where its worker is away, as soon as that is back."})


def _plots_on(task_id: str) -> str | None:
    """The host that makes this plot, by its own last word: Flower may not have heard of the task yet. None
    where nobody says so."""
    try:
        jobs = farm_now().jobs()
    except PlotmanError:
        return None
    return next((host for host, job in jobs if job.task_id == task_id), None)


def is_our_page(host: str, origin: str | None, site: str | None) -> bool:
    """Whether a request comes from a page that this server showed to a browser on this machine.

    host: what the browser took us for: another's name that was made to lead here (DNS rebinding) is not ours.
    origin, site: of the page that asks, as browsers tell and pages cannot forge (Origin, Sec-Fetch-Site).
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
        here = name == "localhost" or is_loopback_address(name)
    except ValueError:
        return False
    if site is not None and site != "same-origin":
        return False
    return here and origin is not None and urlsplit(origin).netloc == host
