"""The real smartctl: its JSON is read, whatever disks this machine has."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from common.system import smart
from tests.support.lacking import lacking


def test_it_is_asked_with_options_that_it_knows_and_a_disk_that_is_none_is_not_known() -> None:
    program = smart.smartctl()
    if program is None:
        lacking("smartctl is missing")
    asked = subprocess.run([program, *smart._OPTIONS, "/dev/null"], capture_output=True, check=False)
    answer = json.loads(asked.stdout)
    assert answer["smartctl"]["version"][0] >= 7
    assert smart.ask(program, "null", 30) is None


def test_the_disks_of_this_machine_have_their_names_below_dev() -> None:
    status = Path("/").stat()
    for name in smart.disks_below(f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"):
        assert Path("/dev", name).exists()
