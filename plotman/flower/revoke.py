"""Flower's Terminate: also for plots whose worker is down, and without a password on this machine.

Flower broadcasts the command: a worker that is down never receives it, but its plot continues. The kill is
sent to the queue of its host instead, where it waits for the worker.

Without a password Flower refuses all of its buttons, unless FLOWER_UNAUTHENTICATED_API opens them to every
web page in a browser on this machine (flower 2.2). Here Terminate works without a password for requests from
Flower's own page.
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
    """Revoke and Terminate; with a password unchanged."""

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
                403, "Without flower_auth only Flower's own page, on this machine, may terminate tasks."
            )

    @authenticated
    async def post(self, taskid: str) -> None:
        """Kill the plot through its host's queue; leave other tasks to Flower."""
        host = None
        if self.get_argument("terminate", False, type=bool) and not self.application.options.read_only:
            host = await asyncio.get_running_loop().run_in_executor(None, _host_of_plot, taskid)
        if host is None:
            await super().post(taskid)
            return
        order = {"kwargs": {"host": host, "plot": taskid}, "ignore_result": True}
        await self.run_blocking("plot.kill", taskid, self.capp.send_task, KILL, **order)
        self.write({"message": f"{host} kills the plot; if its worker is down, as soon as it is up again."})


def _host_of_plot(task_id: str) -> str | None:
    """The host that makes this plot, from the board: Flower may not know the task yet. None if unknown."""
    try:
        jobs = farm_now().jobs()
    except PlotmanError:
        return None
    return next((host for host, job in jobs if job.task_id == task_id), None)


def is_our_page(host: str, origin: str | None, site: str | None) -> bool:
    """Whether a request comes from a page of this server, in a browser on this machine.

    Args:
        host: header `Host`. Other names than local ones may point here by DNS rebinding.
        origin: header `Origin`, which pages cannot forge.
        site: header `Sec-Fetch-Site`, which pages cannot forge; None from older browsers.
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
        here = name == "localhost" or is_loopback_address(name)
    except ValueError:
        return False
    if site is not None and site != "same-origin":
        return False
    return here and origin is not None and urlsplit(origin).netloc == host
