"""What a plotter's log tells when it stalls or gives up."""

from __future__ import annotations

import pytest

from tests.unit.plotter_worker.plotters.reading import Log, read

STALLED = [
    ("chiapos-tmp-full", "chiapos", 1, "Only wrote 155648 of 178651 bytes", "Computing table 3\n"),
    ("chiapos-dst-full", "chiapos", 1, "Could not copy", "Copied final file from \n"),
    ("bladebit-dst-full", "bladebit", 1, "No space left in plot", "Finished F1 in 2.75 seconds.\n"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "plotter", "n", "words", "goes_on"), STALLED)
def test_a_stalled_plotter_is_quoted_until_it_continues(
    log: Log, name: str, plotter: str, n: int, words: str, goes_on: str
) -> None:
    stalled = read(log(name), plotter, n)
    assert stalled.stalled and stalled.stalled.startswith(words)
    assert stalled.error is None
    assert not stalled.finished
    assert read(log(name) + b"\n", plotter, n).stalled == stalled.stalled
    assert read(log(name) + goes_on.encode(), plotter, n).stalled is None


def test_a_stalled_copy_of_madmax_is_quoted_while_the_next_plot_is_made(log: Log) -> None:
    data = log("madmax-dst-full")
    assert "No space left on device" in (read(data, "madmax", n=2).stalled or "")
    path = f"/mnt/dst/plot-k18-2026-11-22-11-35-{'a' * 64}.plot"
    done = data + f"Copy to {path} finished, took 9.5 sec, 1.6 MB/s avg.\n".encode()
    assert read(done, "madmax", n=2).stalled is None
    assert len(read(done, "madmax", n=2).plots_done) == 1


@pytest.mark.parametrize(
    ("name", "plotter", "error", "proven"),
    [
        ("chia-stripe-too-large", "chia", "Stripe size too large", False),
        ("chia-unknown-option", "chia", "No such option '--bogus'. Did you mean '--buckets'?", False),
        ("chiapos-unknown-option", "chiapos", "unrecognized arguments: --bogus", False),
        (
            "chia-no-keys",
            "chia",
            "RuntimeError: No keys, please run 'chia keys add', 'chia keys generate' "
            "or provide a public key with -f",
            False,
        ),
        (
            "chiapos-k-too-small",
            "chiapos",
            "If you are testing and you want to use smaller size please add the --override-k flag.",
            False,
        ),
        ("chiapos-crash", "chiapos", "Triggering bucket too early", True),
        (
            "madmax-tmp-full",
            "madmax",
            "thread failed with: fwrite() failed with: No space left on device",
            True,
        ),
        ("madmax-no-slash", "madmax", "Invalid tmpdir: /mnt/t1 (needs trailing '/' or '\\')", False),
        (
            "bladebit-fatal",
            "bladebit",
            "diskplot is currently disabled for compressed plotting due to a bug.",
            False,
        ),
    ],
)
def test_a_plotter_that_gives_up_is_quoted(
    log: Log, name: str, plotter: str, error: str, proven: bool
) -> None:
    progress = read(log(name), plotter)
    assert progress.error == error
    assert progress.proven is proven
    assert not progress.finished


@pytest.mark.parametrize(
    ("text", "plotter", "error"),
    [
        ("madmax plotter was not found.\n", "madmax", "madmax plotter was not found."),
        ("Bladebit was not found.\n", "bladebit", "Bladebit was not found."),
        ("Aborted!\n", "chia", "interrupted"),
        ("*** Panic!!! *** Fatal Error:  \n  Overran park buffer\n", "bladebit", "Overran park buffer"),
        ("[ERROR] Fatal Error:\n[ERROR] Failed to open plot file with error: 22\n", "bladebit",
         "Failed to open plot file with error: 22"),
        ("STDERR: Fatal Error:  \nSTDERR: A farmer public key must be specified.\n", "bladebit",
         "A farmer public key must be specified."),
        ("Error: no such thing\nTraceback (most recent call last):\n  File x\nValueError: y\n", "chia",
         "no such thing"),
    ],
)  # fmt: skip
def test_the_strongest_error_message_is_kept(text: str, plotter: str, error: str) -> None:
    assert read(text.encode(), plotter).error == error
