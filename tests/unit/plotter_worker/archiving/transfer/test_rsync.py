"""rsync's command line, and what its exit codes mean."""

from __future__ import annotations

import pytest

from plotter_worker.archiving.transfer.rsync import _mark, command, failure


def test_the_command_resumes_flushes_and_never_deletes() -> None:
    argv = command("/dst/a.plot", "/drive/.incoming/a.part", ("--existing",))

    assert argv[0] == "rsync"
    assert {"--append-verify", "--fsync", "--existing"} <= set(argv)
    assert argv[-3:] == ["--", "/dst/a.plot", "/drive/.incoming/a.part"]
    assert not any("remove" in option or "delete" in option for option in argv)


@pytest.mark.parametrize(
    ("code", "words", "cure"),
    [
        (1, "does not know an option", "Install rsync"),
        (11, "drive is full or failing", "dmesg"),
        (20, "rsync was stopped by a signal", "where it stopped"),
        (23, "could not be read", "both drives"),
        (30, "no data moved for too long", "hangs"),
        (-9, "killed by signal 9", "where it stopped"),
        (99, "rsync failed", "both drives"),
    ],
)
def test_an_exit_code_says_what_failed_and_what_to_do(code: int, words: str, cure: str) -> None:
    error = failure(code, "\nrsync: [receiver] write failed: No space left on device (28)\nmore\n")

    assert words in error.what
    assert "No space left on device" in error.what
    assert cure in error.cure


def test_the_line_with_the_digest_begins_with_a_secret_of_the_run() -> None:
    """Somebody on the way could print such a line into rsync's stream."""
    one, other = (_mark(command("/a", "/b")) for _ in range(2))
    assert one is not None
    assert len(one) == 32
    assert one != other
