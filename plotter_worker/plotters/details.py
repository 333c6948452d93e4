"""How plotters tell of their version and settings, at the head of a log.

Lines of chiapos 2.0.12, madMAx 1.1.8, Gigahorse and bladebit 1.2.4 to 3.1.1; none means anything else with
another of them.
"""

from __future__ import annotations

import re

from plotter_worker.plotters.log_parser import Rules, rules
from plotter_worker.plotters.log_state import PlotLogState


def _version(story: PlotLogState, match: re.Match[str]) -> None:
    story.version = match[1]


def _threads(story: PlotLogState, match: re.Match[str]) -> None:
    story.threads = int(match[1])


def _buckets(story: PlotLogState, match: re.Match[str]) -> None:
    story.buckets = int(match[1])


def _buffer(story: PlotLogState, match: re.Match[str]) -> None:
    story.buffer_mib = int(match[1])


DETAILS: Rules = rules(
    # chiapos
    (b"Buffer", r"Buffer size is: (\d{1,9})MiB$", _buffer),
    (b"Using", r"Using (\d{1,9}) buckets$", _buckets),
    (b"Using", r"Using (\d{1,9}) threads of stripe size", _threads),
    # madMAx, and Gigahorse, whose log begins with a commit, not a version
    (b"Multi-threaded", r"Multi-threaded .*plotter - (\S+)$", _version),
    (b"Chia", r"Chia .*plotter - (\S+)$", _version),
    (b"Number", r"Number of Threads:\s*(\d{1,9})$", _threads),
    (b"Number", r"Number of Buckets(?: P1)?:\s*2\^\d+ \((\d{1,9})\)$", _buckets),
    # bladebit
    (b"Version", r"Version\s*:\s*(\S+)$", _version),
    (b"Thread", r"Thread count\s*:\s*(\d{1,9})$", _threads),
    (b"Bucket", r"Bucket count\s*:\s*(\d{1,9})$", _buckets),
)
