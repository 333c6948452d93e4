"""The farm's own certificate authority, and the certificate of its Redis."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from common.errors import PlotmanError
from common.system.machine import pip_install

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import CertificateBuilder, GeneralName

_ISSUER = "plotman farm"
_VALID = timedelta(days=3650)  # renewed by `plotman farm secrets --force`
_CLOCKS_DIFFER = timedelta(days=1)


@dataclass(frozen=True, repr=False)
class Certificates:
    """Certificates as PEM. The authority's key is not kept: it can sign no other server."""

    ca: bytes
    server: bytes
    server_key: bytes


def make(host: str, now: datetime | None = None) -> Certificates:
    """Make certificates for a Redis at `host`.

    Args:
        host: name or IP address; the certificate is also valid for localhost.
        now: begin of validity; None: the current time.

    Raises:
        PlotmanError: the library `cryptography` is not installed.
    """
    try:
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as error:  # an optional dependency, for this verb only
        raise PlotmanError(
            "Certificates need the library cryptography, which is not installed.",
            f"Install it: {pip_install('secrets')} (or write --no-tls, for a farm without encryption).",
        ) from error

    began = (now or datetime.now(UTC)) - _CLOCKS_DIFFER
    authority_key = ec.generate_private_key(ec.SECP256R1())
    server_key = ec.generate_private_key(ec.SECP256R1())
    authority = _authority(authority_key, began).sign(authority_key, hashes.SHA256())
    server = _server(host, server_key, authority_key, began).sign(authority_key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    return Certificates(
        ca=authority.public_bytes(pem),
        server=server.public_bytes(pem),
        server_key=server_key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )


def _authority(key: EllipticCurvePrivateKey, began: datetime) -> CertificateBuilder:
    from cryptography import x509

    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        _begun(_ISSUER, key, began)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(identifier, critical=False)
    )


def _server(
    host: str, key: EllipticCurvePrivateKey, authority_key: EllipticCurvePrivateKey, began: datetime
) -> CertificateBuilder:
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    return (
        _begun(host, key, began)
        .add_extension(x509.SubjectAlternativeName(_names(host)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=False)
        .add_extension(identifier, critical=False)
    )


def _names(host: str) -> list[GeneralName]:
    """Return each name of the server, once."""
    from cryptography import x509

    names: list[GeneralName] = []
    for name in (host, "localhost", "127.0.0.1"):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            names.append(x509.DNSName(name))
    return list(dict.fromkeys(names))


def _begun(name: str, key: EllipticCurvePrivateKey, began: datetime) -> CertificateBuilder:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

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
