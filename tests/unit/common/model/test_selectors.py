"""How users name plots."""

from __future__ import annotations

import pytest

from common.model.plot_name import fits_file

ID = "6b4e7375" + "0" * 56
PATH = f"/mnt/dst/00/plot-k32-2026-11-22-10-00-{ID}.plot"


@pytest.mark.parametrize(
    "selector",
    [PATH, PATH.rpartition("/")[2], ID, ID[:8], "6", "6B4E", " 6b4e7375 "],
    ids=lambda selector: selector[:9],
)
def test_a_finished_plot_is_named_by_its_path_its_file_or_the_start_of_its_id(selector: str) -> None:
    assert fits_file(selector, PATH)


@pytest.mark.parametrize("selector", ["", " ", "4e7375", "/mnt/dst/00", "plot", "all"])
def test_nothing_and_other_words_name_no_finished_plot(selector: str) -> None:
    assert not fits_file(selector, PATH)


def test_a_file_that_is_not_named_like_a_plot_goes_by_its_name_only() -> None:
    assert fits_file("odd.plot", "/mnt/dst/00/odd.plot")
    assert not fits_file("odd", "/mnt/dst/00/odd.plot")
