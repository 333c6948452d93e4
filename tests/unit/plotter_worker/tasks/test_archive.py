"""How a transfer's progress reads."""

from __future__ import annotations

import pytest

from plotter_worker.archiving.transfer.progress import TransferProgress
from plotter_worker.tasks.archive import progress_text


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (TransferProgress(430, 43, 181e6, 2.0), "43% 181 MB/s eta 0:02"),
        (TransferProgress(430, 43, 181e6, 3723.0), "43% 181 MB/s eta 1:02:03"),
        (TransferProgress(430, 43, 0.4e6, None), "43% 0 MB/s"),
        (TransferProgress(1000, 100, 181e6, None), "100% flushing"),
    ],
)
def test_progress_is_told_in_few_words(progress: TransferProgress, text: str) -> None:
    assert progress_text(progress) == text
