"""Flower listens to other machines only with a password, since its buttons terminate plots; and each of its
requests is checked.

The check runs at Celery's signal `import_modules`. Flower sends it after it read its options and before it
opens its port, also when it was started by hand (flower 2.2, Flower.__init__).
"""

from __future__ import annotations

import logging
from typing import Any

import click
from celery.signals import import_modules

from common.config import Config
from common.errors import ConfigError
from common.model.address import is_loopback_address, is_loopback_host

log = logging.getLogger(__name__)

_REMEDY = (
    "Write flower_auth: USER:PASSWORD into the section farm of plotman.yaml, or let Flower "
    "listen on 127.0.0.1 only, behind a proxy that asks for a password."
)


def must_not_be_open(address: str, protected: bool) -> None:
    """Raise ConfigError for a Flower that other machines could use without a password. "": all addresses."""
    if not protected and not is_loopback_address(address):
        where = address or "all addresses"
        raise ConfigError(f"Flower would listen on {where} without a password.", _REMEDY)


def guard(settings: Config) -> None:
    """Install the check: a Flower that would listen to other machines without a password exits.

    Flower's default address is all addresses; without one on its command line it gets plotman.yaml's.
    """
    if settings.farm.flower_auth is not None:
        password = settings.farm.flower_auth.get_secret_value()
    else:
        password = None

    def check(**_: Any) -> None:
        context = click.get_current_context(silent=True)
        if context is None or context.info_name != "flower":
            return
        from tornado.options import options  # late: only Flower needs tornado

        if not options.address and not options.unix_socket:
            options.address = settings.farm.flower_address
        if password is not None and not options.basic_auth and not options.auth:
            options.basic_auth = [password]
        try:
            if not options.unix_socket:
                must_not_be_open(options.address, bool(options.basic_auth or options.auth))
        except ConfigError as error:
            log.critical("%s", error)
            click.echo(f"plotman: {error}", err=True)
            raise SystemExit(int(error.exit_code)) from None

    import_modules.connect(check, weak=False, dispatch_uid="plotman.flower.guard")


def guarded(handler: type[Any]) -> type[Any]:
    """Derive a handler whose requests are checked before all else.

    Flower 2.2 asks for the password in most handlers, but not in /metrics and /healthcheck. Without a
    password, only this machine's own names are answered.
    """
    from tornado.web import HTTPError, StaticFileHandler

    class Guarded(handler):
        def set_default_headers(self) -> None:
            super().set_default_headers()
            # Another site's page must not show a button of ours below its own.
            self.set_header("X-Frame-Options", "DENY")
            self.set_header("Content-Security-Policy", "frame-ancestors 'none'")

        def prepare(self) -> Any:
            options = self.application.options
            if options.basic_auth or options.auth:
                asks = options.basic_auth or handler.__module__ == "flower.views.monitor"
                if asks and not issubclass(handler, StaticFileHandler) and not self.current_user:
                    raise HTTPError(401)
            elif not options.unix_socket and not is_loopback_host(self.request.host):
                raise HTTPError(403, "Without flower_auth Flower answers to localhost and 127.0.0.1 only.")
            return super().prepare()

    Guarded.__name__ = handler.__name__
    return Guarded
