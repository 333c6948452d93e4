"""The certificate by which plotters know this harvester's door.

Made anew with each start of the worker, and told to a plotter by the ticket alone, which nobody else may
read. So there are no files of it to hand out, to renew or to lose, and no authority that could vouch for
somebody else.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from common.errors import TransferFailed
from common.system.machine import pip_install

# Both say that a certificate has no date that matters, RFC 5280 4.1.2.5: a ticket lives for minutes, and
# clocks that differ must not close the door.
_ALWAYS = (datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))


@dataclass(frozen=True, repr=False)
class Identity:
    """PEM. certificate: for plotters. secret: the private key and the certificate, for the door itself."""

    certificate: str
    secret: str


def make_identity() -> Identity:
    """A new one. Raises TransferFailed where the library `cryptography` is not installed."""
    try:
        # Slow to load, and needed only where somebody wants TLS.
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
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "plotman door")])
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
