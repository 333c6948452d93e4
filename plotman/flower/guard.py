"""Flower listens beyond this machine only with a password: its buttons end plots.

Celery's signal `import_modules` is the place: Flower sends it when its options are read and its port is not
open yet, also where it was started by hand (flower 2.2, Flower.__init__).
"""

from __future__ import annotations

import logging
from typing import Any

import click
from celery.signals import import_modules

from common.config import Config
from common.errors import ConfigError
from common.model.address import is_loopback_address

log = logging.getLogger(__name__)

_CURE = (
    "Write flower_auth: USER:PASSWORD into the section farm of plotman.yaml, or have it listen on 127.0.0.1 "
    "only, behind a proxy that asks who is there."
)


def must_not_be_open(address: str, protected: bool) -> None:
    """address: that Flower is to listen on; "" is all. protected: whether it asks for a password.

    Raises ConfigError where anybody could use it from another machine.
    """
    if not protected and not is_loopback_address(address):
        where = address or "all addresses"
        raise ConfigError(f"Flower would listen on {where} and ask nobody for a password.", _CURE)


def guard(settings: Config) -> None:
    """From now on a Flower in this process ends rather than listen to everybody.

    Where its command line names no address it listens on plotman.yaml's: Flower's own default is all.
    """
    if settings.farm.flower_auth is not None:
        password = settings.farm.flower_auth.get_secret_value()
    else:
        password = None

    def check(**_: Any) -> None:
        context = click.get_current_context(silent=True)
        if context is None or context.info_name != "flower":
            return
        from tornado.options import options  # late: no other process of ours needs tornado

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
