"""Flower's Terminate where Flower asks nobody for a password: on this machine's loopback only.

Flower refuses all of its buttons without a password, unless it is opened to every web page that a browser on
this machine shows (FLOWER_UNAUTHENTICATED_API, flower 2.2). Ending a plot is what a farmer needs: that button
works, where the page that asks is Flower's own.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from flower.api.control import TaskRevoke
from tornado.web import HTTPError

from common.address import is_loopback_address


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
