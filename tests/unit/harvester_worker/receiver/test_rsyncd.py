"""How a receiver is configured for rsync, and what its log says."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import TransferFailed
from harvester_worker.receiver.rsyncd import (
    RsyncModule,
    admitted,
    configuration,
    must_be_expressible,
    trouble,
)

STAMP = b"2026/11/22 13:05:27 [4711] "


def test_each_receiver_is_a_module_that_takes_one_name_and_nothing_else() -> None:
    modules = [RsyncModule("a1", Path("/farm/1/.incoming/x.part"), Path("/s/a1.secrets"))]
    text = configuration(modules, 1000, 1000, Path("/s/1.log"))

    assert text.count("[a1]") == 1
    assert "path = /farm/1/.incoming\n" in text  # never the farmed folder
    assert "filter = + /x.part - *\n" in text
    assert "refuse options = * !append" in text
    assert "log file = /s/1.log\n" in text
    assert "uid" not in text
    assert "uid = 0\ngid = 0\n" in configuration(modules, 0, 0, Path("/s/1.log"))


@pytest.mark.parametrize("name", ["a%USER%", "a\nread only = no", "a\\", " a"])
def test_a_drive_whose_name_rsync_would_read_otherwise_gets_no_receiver(name: str) -> None:
    path = Path(f"/farm/{name}/.incoming/x.part") if name != " a" else Path(" a/x.part")
    with pytest.raises(TransferFailed, match="plainer name"):
        must_be_expressible(path)


@pytest.mark.parametrize(
    ("line", "module", "doomed"),
    [
        (b"connect from UNDETERMINED (10.0.0.2)", None, False),
        (b"rsync to a1b2/x.part from a1b2@UNDETERMINED (10.0.0.2)", "a1b2", False),
        (b'rsync: [receiver] write failed on "x.part" (in a1b2): No space left on device (28)', None, True),
        (b'rsync: [receiver] write failed on "x.part" (in a1b2): Input/output error (5)', None, True),
        (b'rsync: [receiver] open "x.part" (in a1b2) failed: Read-only file system (30)', None, True),
        (b"rsync: [receiver] read error: Connection reset by peer (104)", None, False),
        (b"rsync error: error in file IO (code 11) at receiver.c(657) [receiver=3.5.0]", None, False),
        (b"\xff\xfe", None, False),
    ],
)
def test_the_log_names_the_admitted_module_and_errors_that_end_the_transfer(
    line: bytes, module: str | None, doomed: bool
) -> None:
    assert admitted(STAMP + line) == module
    assert (trouble(STAMP + line) is not None) == doomed
