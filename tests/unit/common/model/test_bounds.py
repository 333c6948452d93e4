"""Limits of JSON that other machines wrote."""

from __future__ import annotations

import pytest

from common.errors import OrderRefused
from common.model.bounds import bounded
from common.model.messages import CleanupOrder


def test_a_text_is_refused_by_its_length_objects_and_values() -> None:
    assert bounded("[{}, 1]", 7, 2, 1) == "[{}, 1]"
    for limits in ((6, 2, 1), (7, 1, 1), (7, 2, 0)):
        with pytest.raises(ValueError, match=r"it (is longer|has more) than"):
            bounded("[{}, 1]", *limits)


def test_a_list_of_files_ends_at_its_first_wrong_one() -> None:
    with pytest.raises(OrderRefused, match=r"files\.0: ") as refused:
        CleanupOrder.read(host="p1", files=[0, 0])
    assert "files.1" not in str(refused.value)
