"""A ticket that somebody else than a harvester wrote: each field is checked, and no value is shown."""

from __future__ import annotations

import json
import ssl
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from common.errors import TicketRefused
from common.model.ticket import Ticket
from harvester_worker.receiver.identity import make_identity

PLOT_ID = "ab" * 32
SECRET = "S3cret_" + "x" * 36
CERTIFICATE = make_identity().certificate


def large_certificate() -> str:
    """A good one, longer than any harvester's."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "plotman receiver")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.1"), bytes(9000)), False)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode("ascii")


GOOD: dict[str, Any] = {
    "plot_id": PLOT_ID,
    "address": "10.99.0.3",
    "port": 8730,
    "module": "fd4acfd500803f95",
    "password": SECRET,
    "certificate": CERTIFICATE,
    "failure": None,
}

FORGED: list[tuple[str, Any]] = [
    *(
        ("plot_id", value)
        for value in ("", "cd" * 32, "AB" * 32, f"{PLOT_ID}\n", "../" * 21 + "a", PLOT_ID[:-1], None, 7)
    ),
    *(
        ("address", value)
        for value in (
            "",
            "-oProxyCommand=id",
            "h -e id",
            "user@h",
            "h/module",
            "h:22",
            "h\n",
            "h\0",
            "h;id",
            "$(id)",
            "a..b",
            "h%eth0",
            "fe80::1%eth0;id",
            "fe80::1%",
            "[::1]",
            "bücher.example",
            "a" * 64,
            "a." * 130,
            "h-",
            None,
            1,
        )
    ),
    *(("port", value) for value in (0, 1, 22, 1023, 65536, -8730, 8730.5, "8730", True, 1e400, None)),
    *(
        ("module", value)
        for value in (
            "",
            "/etc/passwd",
            "../../plotman.yaml",
            "fd4acfd50080",
            "FD4ACFD500803F95",
            "fd4acfd500803f95\n",
            "fd4acfd500803f95.",
            "fd4acfd5/0803f95",
            "fd4acfd500803f95" * 2,
            None,
            [1],
        )
    ),
    *(
        ("password", value)
        for value in (
            "",
            f"{SECRET}\n",
            f"{SECRET}x",
            SECRET[:-1],
            f"{SECRET[:20]}\nplotting: {SECRET[31:]}",
            f"{SECRET[:-1]}é",
            f"{SECRET[:-1]}:",
            None,
            7,
        )
    ),
    *(
        ("certificate", value)
        for value in (
            "",
            "SECRET",
            CERTIFICATE + CERTIFICATE,
            ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(CERTIFICATE) * 2).strip() + "\n",
            large_certificate(),
            f"{CERTIFICATE}ssh-rsa AAAA\n",
            f"# a line\n{CERTIFICATE}",
            CERTIFICATE.replace("\n", "\r\n"),
            CERTIFICATE.rstrip("\n"),
            CERTIFICATE.replace("M", "N", 1),
            CERTIFICATE.replace("CERTIFICATE", "PRIVATE KEY"),
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\n" + ("A" * 64 + "\n") * 500 + "-----END CERTIFICATE-----\n",
            7,
        )
    ),
    *(("failure", value) for value in ("a\nb", "\x1b[2J", "\u2028", "x" * 1001, 7)),
]


@pytest.mark.parametrize(("field", "value"), FORGED, ids=[f"{name} {value!r:.30}" for name, value in FORGED])
def test_each_forged_field_is_refused_by_its_name_and_without_its_value(field: str, value: Any) -> None:
    with pytest.raises(TicketRefused) as raised:
        Ticket.read(json.dumps(GOOD | {field: value}), PLOT_ID)
    said = str(raised.value)
    assert f"({field})" in said
    assert "\n" not in said
    assert SECRET[:10] not in said
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None, "a traceback would show the values"


@pytest.mark.parametrize("name", [name for name, value in GOOD.items() if value is not None])
def test_each_field_must_be_there(name: str) -> None:
    if name != "certificate":
        with pytest.raises(TicketRefused, match=name):
            Ticket.read(json.dumps({key: value for key, value in GOOD.items() if key != name}), PLOT_ID)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (json.dumps(GOOD | {"\x1b[2J": SECRET}), r"\(unknown keys\)"),
        (json.dumps(GOOD | {"rsync": "/bin/sh", "port": 1}), r"\(port, unknown keys\)"),
        ("", "not a JSON object"),
        ("[]", "not a JSON object"),
        (f'{{"password": "{SECRET}"', "not a JSON object"),
        ("[" * 10_000, "not a JSON object"),
        ("[" * 100_000, "longer than 65536 characters"),
        (json.dumps(GOOD)[:-1] + ', "port": NaN}', r"\(port\)"),
    ],
    ids=["unknown key", "unknown program", "nothing", "a list", "cut off", "deep", "too long", "no number"],
)
def test_what_is_no_ticket_is_refused(text: str, says: str) -> None:
    with pytest.raises(TicketRefused, match=says) as raised:
        Ticket.read(text, PLOT_ID)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    "address", ["h", "harvester1.lan", "my_nas", "10.0.0.7", "fd00::7", "fe80::1%eth0", "a.b.", "7up"]
)
def test_every_way_to_name_a_harvester_is_taken(address: str) -> None:
    ticket = Ticket.read(json.dumps(GOOD | {"address": address}), PLOT_ID)
    assert ticket.address == address
    assert Ticket.read(ticket.written(), PLOT_ID) == ticket


def test_what_ended_a_transfer_is_one_line_whatever_rsync_said() -> None:
    ended = Ticket.model_validate(GOOD).ended("no\nspace \x1b[2J" + "x" * 5000)
    assert Ticket.read(ended.written(), PLOT_ID) == ended
    assert ended.failure is not None
    assert ended.failure.startswith("no\\nspace \\x1b[2Jxx")
