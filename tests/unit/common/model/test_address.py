"""Where to listen, as users write it; and which requests were sent to this machine, by their headers."""

from __future__ import annotations

import pytest

from common.model.address import NoAddress, is_loopback_host, is_same_site, listen_at


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


@pytest.mark.parametrize(
    "header",
    ["localhost", "localhost:5555", "LOCALHOST:5555", "127.0.0.1", "127.9.9.9:5555", "[::1]", "[::1]:5555"],
)
def test_a_local_name_is_this_machine(header: str) -> None:
    assert is_loopback_host(header)


@pytest.mark.parametrize(
    "header",
    [
        "", "[", "::1", "evil.example", "evil.example:5555", "127.0.0.1.evil.example", "localhost.evil",
        "[::1].evil.example", "[::1].evil.example:5555", "[::1]evil.example:80", "[::1%evil.example]",
        "localhost@evil.example", "evil.example@localhost", "[::1]@evil.example", "127.0.0.1/evil.example",
        "127.0.0.1?evil.example", "127.0.0.1#evil.example", "127.0.0.1\\evil.example", "127.0.0.1:evil",
        "127.0.0.1, evil.example", " 127.0.0.1", "127.0.0.1\t", "0.0.0.0", "[::]", "192.168.1.2",
    ],
)  # fmt: skip
def test_whatever_else_a_header_host_says_is_not_this_machine(header: str) -> None:
    """A browser sends the name in the page's address, which its owner may let lead here."""
    assert not is_loopback_host(header)


def test_an_origin_is_of_the_same_site_if_it_is_the_host_and_nothing_more() -> None:
    assert is_same_site("http://[::1]:5555", "[::1]:5555")
    assert is_same_site("https://localhost", "localhost")
    for origin in (
        "http://localhost:1",
        "http://x@localhost",
        "file://localhost",
        "http://localhost/",
        "null",
        "",
    ):
        assert not is_same_site(origin, "localhost"), origin
