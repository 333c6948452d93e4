"""What a process prints and logs is clean, whether by `print`, `logging` or an exception."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HOSTILE = r'"\x1b]0;title\x07\x1b[2J\r\n2026-11-29 12:00:00 INFO beat: forged\x9b\u202e\ud800\0"'
_BEGIN = f"import logging, sys, threading\nfrom common.system.output import clean_output\nh = {HOSTILE}\n"


@pytest.mark.parametrize(
    "does",
    [
        "print(h.replace('\\n', ''), file=sys.stdout)",
        "sys.stderr.writelines([h.replace('\\n', '')])",
        "logging.error(h)",
        "logging.error('%s is %r and %s', h, h, ValueError(h))",
        "try:\n    raise ValueError(h)\nexcept ValueError:\n    logging.exception('failed')",
        "logging.Logger('own').error(h)",
        "logging.error(h, stack_info=True)",
        "import celery.utils.log as log\nhandler = logging.StreamHandler()\n"
        "handler.setFormatter(log.ColorFormatter(use_color=False))\nlogger = logging.getLogger('x')\n"
        "logger.propagate = False\nlogger.addHandler(handler)\n"
        "try:\n    raise KeyError(h)\nexcept KeyError:\n    logger.exception(h)",
        "from tornado.log import enable_pretty_logging, app_log\nenable_pretty_logging()\napp_log.error(h)",
        "import click\nclick.echo(h.replace('\\n', ''))\nclick.secho(h.replace('\\n', ''), err=True)",
        "import warnings\nwarnings.warn(h.replace('\\n', ''))",
    ],
)
@pytest.mark.parametrize("locale", ["C.UTF-8", "POSIX"])
def test_nothing_that_acts_leaves_the_process(does: str, locale: str) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-c", f"{_BEGIN}clean_output()\nclean_output()\n{does}\n"],
        env=os.environ | {"LC_ALL": locale, "PYTHONCOERCECLOCALE": "0"},
        capture_output=True,
        timeout=30,
        check=False,
    )
    said = (done.stdout + done.stderr).decode("utf-8", "surrogateescape")
    assert done.returncode == 0, said
    assert "title" in said
    assert [char for char in said if not char.isprintable() and char != "\n"] == []
    assert not any(line.startswith("2026-11-29 12:00:00") for line in said.splitlines())


def test_our_own_colours_and_tables_stay() -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{_BEGIN}clean_output()\nprint('\\x1b[1mbold\\x1b[0m ─ ä')"],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
        timeout=30,
        check=True,
    )
    assert done.stdout.decode() == "\x1b[1mbold\x1b[0m ─ ä\n"
