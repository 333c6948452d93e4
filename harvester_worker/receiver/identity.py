"""The certificate by which plotters recognise this harvester's receivers.

Each start of the worker makes a new one, and a plotter learns it from its ticket, which nobody else may read.
So there are no certificate files to distribute, renew or lose, and no authority that could certify another.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from common.errors import TransferFailed
from common.system.machine import pip_install

# The dates that stand for "no limit", RFC 5280 4.1.2.5: a ticket lives for minutes, and clocks that differ
# must not block a transfer.
_ALWAYS = (datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))


@dataclass(frozen=True, repr=False)
class Identity:
    """PEM. certificate: for plotters. secret: the private key and the certificate, for the receiver
    itself."""

    certificate: str
    secret: str


def make_identity() -> Identity:
    """Make a new key and certificate. Raises TransferFailed without the library `cryptography`."""
    try:
        # Slow to load, and needed for TLS only.
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import NameOID
    except ImportError as error:
        raise TransferFailed(
            "harvester.receiver_tls needs the library cryptography, which this harvester does not have.",
            f"Install it there ({pip_install('tls')}) and restart the harvester.",
        ) from error
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "plotman receiver")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_ALWAYS[0])
        .not_valid_after(_ALWAYS[1])
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    secret = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = certificate.public_bytes(encoding).decode("ascii")
    return Identity(public, secret.decode("ascii") + public)
