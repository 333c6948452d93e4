"""The farm's own certificate authority, and the certificate of its Redis."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from common.errors import PlotmanError
from common.system.machine import pip_install

_ISSUER = "plotman farm"
_VALID = timedelta(days=3650)  # renewed by `plotman farm secrets --force`
_CLOCKS_DIFFER = timedelta(days=1)
_KEY_USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


@dataclass(frozen=True, repr=False)
class Certificates:
    """Certificates as PEM. The authority's key is not kept: it can sign no other server."""

    ca: bytes
    server: bytes
    server_key: bytes


def make(host: str, now: datetime | None = None) -> Certificates:
    """Make certificates for a Redis at `host`, a name or an IP address, and at localhost.

    Raises PlotmanError if the library `cryptography` is not installed. now: begin of validity.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
    except ImportError as error:  # an optional dependency, for this verb only
        raise PlotmanError(
            "Certificates need the library cryptography, which is not installed.",
            f"Install it: {pip_install('secrets')} (or write --no-tls, for a farm without encryption).",
        ) from error

    began = (now or datetime.now(UTC)) - _CLOCKS_DIFFER

    def begun(name: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        """Begin a certificate of the farm's authority."""
        subject, issuer = (
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each[:64])]) for each in (name, _ISSUER)
        )
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(began)
            .not_valid_after(began + _VALID)
        )

    def general_name(name: str) -> x509.GeneralName:
        try:
            return x509.IPAddress(ipaddress.ip_address(name))
        except ValueError:
            return x509.DNSName(name)

    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    signs_only = dict.fromkeys(_KEY_USAGES, False) | {"key_cert_sign": True, "crl_sign": True}
    of_authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    names = dict.fromkeys(general_name(name) for name in (host, "localhost", "127.0.0.1"))
    authority = (
        begun(_ISSUER, authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(**signs_only), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    server = (
        begun(host, server_key)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(of_authority, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    secret = server_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    return Certificates(authority.public_bytes(pem), server.public_bytes(pem), secret)
