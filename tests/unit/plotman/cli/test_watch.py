from __future__ import annotations

import pytest

from plotman.cli.watch import _cut


@pytest.mark.parametrize(
    ("lines", "rows", "shown"),
    [
        (["a", "b"], 2, ["a", "b"]),
        (["a", "b", "c"], 2, ["a", "... 2 lines more"]),
        (["x" * 25, "b"], 3, ["... 2 lines more"]),
        (["\x1b[32m" + "x" * 10 + "\x1b[0m", "b"], 2, ["\x1b[32m" + "x" * 10 + "\x1b[0m", "b"]),
    ],
    ids=["fits", "longer", "wide", "coloured"],
)
def test_lines_that_do_not_fit_are_counted(lines: list[str], rows: int, shown: list[str]) -> None:
    assert _cut("\n".join(lines), 10, rows).split("\n") == shown
