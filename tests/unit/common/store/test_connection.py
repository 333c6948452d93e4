"""What is wrong with a connection to Redis is named, with a cure that fits. The errors are as redis-py and
real servers cause them."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import redis

from common.errors import BrokerError
from common.store.connection import readable_errors

TLS = "rediss://desk:hunter2@broker1:6379/0?ssl_cert_reqs=required&ssl_ca_certs="


def worded(url: str, error: Exception, cause: Exception | None = None) -> str:
    """The text of the BrokerError. cause: context of the error."""
    with pytest.raises(BrokerError) as raised, readable_errors(url):
        error.__context__ = cause
        raise error
    assert "hunter2" not in str(raised.value)
    return str(raised.value)


def refused(message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, f"certificate verify failed: {message}")
    error.verify_message = message
    return error


def test_a_missing_certificate_is_named_with_its_path(tmp_path: Path) -> None:
    missing = str(tmp_path / "ca.crt")
    error = redis.ConnectionError("Error 2 connecting to broker1:6379. No such file or directory.")
    text = worded(TLS + missing, error, FileNotFoundError(2, "No such file or directory"))
    assert f"{missing} cannot be read: No such file or directory. Copy" in text
    assert "Start it" not in text


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (
            refused("IP address mismatch, certificate is not valid for '10.0.0.1'."),
            ("mismatch", "`plotman farm secrets` printed it"),
        ),
        (refused("self-signed certificate in certificate chain"), ("self-signed", "ssl_ca_certs")),
        (TimeoutError("_ssl.c:989: The handshake operation timed out"), ("by TLS", "redis://")),
    ],
)
def test_trouble_with_tls_has_its_own_cure(cause: Exception, words: tuple[str, ...]) -> None:
    text = worded(
        TLS + __file__, redis.ConnectionError(f"Error 1 connecting to broker1:6379. {cause}"), cause
    )
    assert all(word in text for word in words)
    assert "Start it" not in text


def test_a_plain_connection_to_a_server_that_takes_tls_only_names_rediss() -> None:
    cause = ConnectionResetError(104, "Connection reset by peer")
    text = worded(
        "redis://broker1:6379/0", redis.ConnectionError("Error while reading from broker1:6379"), cause
    )
    assert "rediss://" in text
    assert "rediss://" not in worded("redis://broker1:6379/0", redis.ConnectionError("Connection refused"))


def test_a_refused_command_is_named_without_its_keys() -> None:
    text = (
        "Command # 1 (DEL plotman:host:p2:plotter) of pipeline caused error: this user has no permissions to "
        "run the 'del' command"
    )
    found = worded("redis://broker1:6379/0", redis.exceptions.NoPermissionError(text))
    assert "this user: this user has no permissions to run the 'del' command. Repeat this on" in found
    assert "DEL" not in found
