"""Which rsyncs are ours; the tests of those who end them use real processes."""

from __future__ import annotations

from typing import Any

import psutil
import pytest

from common.system.marked import rsyncs_of


class Process:
    def __init__(self, name: str, environment: dict[str, str] | psutil.Error) -> None:
        self.info, self.environment = {"name": name}, environment

    def environ(self) -> dict[str, str]:
        if isinstance(self.environment, psutil.Error):
            raise self.environment
        return self.environment


def test_only_an_rsync_whose_mark_can_be_read_and_names_the_owner_is_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = Process("rsync", {"MARK": "us"})
    processes: list[Any] = [
        Process("rsync", {"MARK": "others"}),
        Process("rsync", {"OTHER_MARK": "us"}),
        Process("rsync", psutil.AccessDenied(1)),
        Process("rsync", psutil.NoSuchProcess(2)),
        Process("sleep", {"MARK": "us"}),
        ours,
    ]
    monkeypatch.setattr(psutil, "process_iter", lambda _: iter(processes))
    assert rsyncs_of("us", "MARK") == [ours]
