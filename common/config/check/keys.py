"""Whether plotting keys and the address of a pool contract can be right; each costs milliseconds. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from common.config.problems import Finding, Level
from common.config.sections.plotting import Plotting

# A compressed G1 point, as `chia keys show` prints it: its first bit is set, its second one is not.
_KEY = re.compile(r"(?:0x)?[89abAB][0-9a-fA-F]{95}")
# Of BLS12-381: the curve y^2 = x^3 + 4 modulo _FIELD, and the order of the keys' group.
_FIELD = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB
_ORDER = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
# bech32m of 32 bytes: 52 characters and 6 of checksum. Forks of Chia have other prefixes.
_ADDRESS = re.compile(r"([a-z]{2,16})1[02-9ac-hj-np-z]{58}")
_PREFIXES = ("xch", "txch")


def key_findings(plotting: Plotting) -> Iterator[Finding]:
    """Keys and an address that plotters refuse."""
    for name in ("farmer_pk", "pool_pk"):
        value = getattr(plotting, name)
        if value is None:
            continue
        what = None
        if not _KEY.fullmatch(value):
            what = (
                "is not a public key: 96 hexadecimal digits, the first one 8, 9, a or b "
                f"(this has {len(value)} characters)"
            )
        elif not is_public_key(value):
            what = "has a typing error: no public key has these digits"
        if what is not None:
            cure = "Copy all of it from `chia keys show`."
            yield Finding(("plotting", name), f"every plot would fail: it {what}", cure)
    if plotting.pool_contract_address is not None:
        yield from _address(plotting.pool_contract_address)


def _address(address: str) -> Iterator[Finding]:
    where, cure = ("plotting", "pool_contract_address"), "Copy all of it from `chia plotnft show`."
    found = _ADDRESS.fullmatch(address)
    if found is None:
        what = f"it is not an address: xch1 and 58 letters and digits (this has {len(address)} characters)"
        yield Finding(where, f"every plot would fail: {what}", cure)
    elif not _sum_fits(address):
        yield Finding(where, "every plot would fail: it has a typing error, its checksum is wrong", cure)
    elif found[1] not in _PREFIXES:
        what = f"begins with {found[1]}1, and addresses of Chia begin with xch1"
        yield Finding(where, what, cure, Level.WARNING)


def is_public_key(key: str) -> bool:
    """Whether 96 hexadecimal digits are a point of G1: plotters refuse others, so all typing errors."""
    x = int(key, 16) & (1 << 381) - 1
    square = (x**3 + 4) % _FIELD
    y = pow(square, (_FIELD + 1) // 4, _FIELD)
    return x < _FIELD and y * y % _FIELD == square and _is_in_group(x, y)


def _is_in_group(x: int, y: int) -> bool:
    """Whether (_ORDER - 1) times the point is its negative. Jacobian coordinates; where these formulas do not
    hold, which is never so for a point of the group, z becomes 0 and stays so."""
    at_x, at_y, z = x, y, 1
    for bit in bin(_ORDER - 1)[3:]:
        s = 4 * at_x * at_y * at_y % _FIELD
        m = 3 * at_x * at_x % _FIELD
        doubled_x = (m * m - 2 * s) % _FIELD
        z = 2 * at_y * z % _FIELD
        at_y = (m * (s - doubled_x) - 8 * pow(at_y, 4, _FIELD)) % _FIELD
        at_x = doubled_x
        if bit == "1":
            h = (x * z * z - at_x) % _FIELD
            r = (y * z * z * z - at_y) % _FIELD
            v = at_x * h * h % _FIELD
            added_x = (r * r - h * h * h - 2 * v) % _FIELD
            at_y = (r * (v - added_x) - at_y * h * h * h) % _FIELD
            at_x, z = added_x, z * h % _FIELD
    return z != 0 and (at_x - x * z * z) % _FIELD == 0 and (at_y + y * z * z * z) % _FIELD == 0


_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BECH32M = 0x2BC830A3  # the sum of every valid address, BIP 350


def _sum_fits(address: str) -> bool:
    """Whether the bech32m checksum of an address is right."""
    prefix, _, data = address.partition("1")
    values = [ord(letter) >> 5 for letter in prefix] + [0] + [ord(letter) & 31 for letter in prefix]
    values += [_BECH32.index(letter) for letter in data]
    found = 1
    for value in values:
        top, found = found >> 25, (found & 0x1FFFFFF) << 5 ^ value
        for bit, term in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            found ^= term if top >> bit & 1 else 0
    return found == _BECH32M
