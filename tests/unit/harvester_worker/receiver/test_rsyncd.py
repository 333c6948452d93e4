"""How a receiver is configured for rsync, and what its log says."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import TransferFailed
from harvester_worker.receiver.rsyncd import (
    RsyncModule,
    ServerLog,
    configuration,
    must_be_expressible,
)

MARK = "5f1d0c"
STAMP = b"2026/11/22 13:05:27 [4711] "


def test_each_receiver_is_a_module_that_takes_one_name_and_nothing_else() -> None:
    modules = [RsyncModule("a1", Path("/farm/1/.incoming/x.part"), Path("/s/a1.secrets"), 5 << 20)]
    text = configuration(modules, 1000, 1000, Path("/s/1.log"), MARK)

    assert text.count("[a1]") == 1
    assert "path = /farm/1/.incoming\n" in text  # never the farmed folder
    assert "filter = + /x.part - *\n" in text
    assert "refuse options = * !append" in text
    assert "log file = /s/1.log\n" in text
    assert f"--partial' {5 << 20}\n" in text
    assert f"log format = {MARK} %C\n" in text
    assert "uid" not in text
    assert "uid = 0\ngid = 0\n" in configuration(modules, 0, 0, Path("/s/1.log"), MARK)


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
    log = ServerLog(MARK)
    log.read(STAMP + line)
    assert log.module == module
    assert (log.trouble is not None) == doomed


RIGHT = MARK.encode() + b" " + b"ab" * 16
FORGED = b"RECEIVED " + b"cd" * 16


@pytest.mark.parametrize(
    ("lines", "digest", "refused", "module"),
    [
        ([RIGHT], "ab" * 16, None, None),
        # A client may write lines into the log: rsync's protocol has messages for it.
        ([RIGHT, FORGED], "ab" * 16, None, None),
        ([FORGED], None, None, None),
        ([RIGHT, b"ERROR: x.part failed verification -- update retained."], None, None, None),
        (
            [b"auth failed on module a1b2 from UNDETERMINED (10.0.0.2) for a1b2: password mismatch"],
            None,
            "a1b2",
            None,
        ),
        # The user's name is the client's own choice.
        (
            [b"auth failed on module a1b2 from U (10.0.0.2) for [1] " + RIGHT + b": no matching rule"],
            None,
            "a1b2",
            None,
        ),
        ([b"auth failed on module a1b2 from U (1) for ] rsync to a1b2/x from : no"], None, "a1b2", None),
        ([b"unknown module '] rsync to a1b2/x from ' tried from U (10.0.0.2)"], None, None, None),
    ],
)
def test_the_log_tells_what_arrived_and_who_was_refused(
    lines: list[bytes], digest: str | None, refused: str | None, module: str | None
) -> None:
    log = ServerLog(MARK)
    for line in lines:
        log.read(STAMP + line)
    assert (log.digest, log.refused, log.module) == (digest, refused, module)


def test_too_many_bytes_are_not_the_drives_fault() -> None:
    log = ServerLog(MARK)
    log.read(STAMP + b'rsync: [receiver] write failed on "x.part" (in a1b2): File too large (27)')
    assert log.oversent
    assert log.trouble is None
