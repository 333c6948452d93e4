"""Where to listen, as users write it."""

from __future__ import annotations

import pytest

from common.model.address import NoAddress, listen_at


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9587", ("127.0.0.1", 9587)),
        ("0.0.0.0:9587", ("0.0.0.0", 9587)),
        ("[::1]:9587", ("::1", 9587)),
        ("plotter1:80", ("plotter1", 80)),
    ],
)
def test_an_address_to_listen_on(text: str, expected: tuple[str, int]) -> None:
    assert listen_at(text) == expected


@pytest.mark.parametrize("text", ["", "x", "localhost", ":-1", ":9587", "1.2.3.4:", "0", "99999", "::1:80"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(NoAddress):
        listen_at(text)
