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


@pytest.mark.parametrize(
    "closed",
    [
        "rsync: connection unexpectedly closed (0 bytes received so far) [sender]",
        "rsync: [sender] safe_write failed to write 6 bytes to fd 4: Broken pipe (32)",
    ],
)
def test_an_ssh_that_ends_at_once_is_named_also_if_rsync_sees_only_its_closed_pipe(closed: str) -> None:
    stderr = f"Host key verification failed.\n{closed}\nrsync error: ... (code 12) at io.c(285)\n"

    assert "ssh cannot connect" in failure(12, stderr, over_ssh=True).what
    assert "Host key verification failed" in failure(12, stderr, over_ssh=True).what
    assert "receiving rsync ended early" in failure(12, stderr).what
    later = stderr.replace("(0 bytes", "(17 bytes").replace("safe_write", "write")
    assert "receiving rsync ended early" in failure(12, later, over_ssh=True).what


def test_the_line_with_the_digest_begins_with_a_secret_of_the_run() -> None:
    """Somebody on the way could print such a line into rsync's stream."""
    one, other = (_mark(command("/a", "/b")) for _ in range(2))
    assert one is not None
    assert len(one) == 32
    assert one != other
