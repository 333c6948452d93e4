"""The filter of drives: grep's expressions, and none that takes for ever."""

from __future__ import annotations

import os
import subprocess
import time

import pytest

from common.config.rules import broken
from common.config.sections.targets import filter_flaw, fitting_drives

PATHS = ["/farm/01", "/farm/02", "/farm/my drive", "/net/chia1"]


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        (".*", PATHS),
        ("", PATHS),
        ("farm", PATHS[:3]),
        (r"/0[0-9]$", PATHS[:2]),
        (r"01\|02", PATHS[:2]),
        (r"\(chia\)\?1$", ["/farm/01", "/net/chia1"]),
        ("a|b", []),
        ("[[:space:]_]", ["/farm/my drive"]),
        ("[_[:digit:]]$", ["/farm/01", "/farm/02", "/net/chia1"]),
        (r"0\{1,2\}1", ["/farm/01"]),
        (r"\\1", []),
    ],
)
def test_paths_fit_as_with_grep(pattern: str, paths: list[str]) -> None:
    assert filter_flaw(pattern) is None
    assert fitting_drives(pattern, PATHS) == paths
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    grep = subprocess.run(
        ["grep", "-e", pattern],
        input="".join(f"{path}\n" for path in PATHS),
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert grep.stdout.splitlines() == paths


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        ("[", "is not a regular expression of grep"),
        (r"\(", "is not a regular expression of grep"),
        (r"a\{2", "is not a regular expression of grep"),
        ("farm\\", "is not a regular expression of grep"),
        ("x[:digit:]", "a class is written [[:space:]]"),
        (r"\(a*\)*\1", "has a back reference"),
        (r"\(\(a\{1,255\}\)\{1,255\}\)\{1,255\}", "repeats more than 1000 times"),
        (r"a\{32000\}", "repeats more than 1000 times"),
        ("a" * 501, "has 501 characters"),
        ("a\nb", "contains a line break"),
    ],
)
def test_an_expression_that_grep_refuses_or_that_may_take_for_ever_is_an_error(
    pattern: str, what: str
) -> None:
    began_s = time.monotonic()
    assert what in (filter_flaw(pattern) or "")
    assert time.monotonic() - began_s < 1
    env = {"site_root": "/farm", "site_path_filter": pattern}
    (rule,) = broken({"farm": {}, "harvester": {}, "archiving": {"target": "local_rsync", "env": env}})[-1:]
    assert rule.key == "archiving.env.site_path_filter"
    assert what in rule.what and rule.cure == "Correct it; .* takes every drive."


def test_the_variable_of_a_target_of_ones_own_is_its_own_affair() -> None:
    own = {"local_rsync": {"disk_space_path": "/a", "transfer_path": "/b"}}
    archiving = {"target": "local_rsync", "env": {"site_path_filter": "["}, "target_definitions": own}
    assert [rule for rule in broken({"archiving": archiving}) if "filter" in rule.key] == []
