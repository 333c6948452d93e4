"""Which requests come from Flower's own page, where no password protects it."""

from __future__ import annotations

import pytest

from plotman.flower.handlers import is_our_page

OWN = "127.0.0.1:5555"


@pytest.mark.parametrize(
    ("host", "origin", "site", "expected"),
    [
        (OWN, f"http://{OWN}", "same-origin", True),
        (OWN, f"http://{OWN}", None, True),
        (OWN, None, None, False),
        (OWN, None, "same-origin", False),
        (OWN, "null", None, False),
        (OWN, "http://evil.example", None, False),
        (OWN, f"http://{OWN}", "cross-site", False),
        (OWN, f"http://{OWN}", "same-site", False),
        (OWN, f"http://{OWN}", "none", False),
        ("evil.example:5555", "http://evil.example:5555", "same-origin", False),
        ("[::1].evil.example:5555", "http://[::1].evil.example:5555", "same-origin", False),
    ],
)
def test_only_a_page_of_this_server_by_a_local_name_is_ours(
    host: str, origin: str | None, site: str | None, expected: bool
) -> None:
    assert is_our_page(host, origin, site) is expected
