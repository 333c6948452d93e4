"""What the header of each format says, and which headers no plot has."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from common.system.plotfile import Header, NotAPlot, Pool, PoolKind, read_header
from tests.support import formats

ID = bytes([15]) * 32
ALL = ("bladebit", "Gigahorse", *formats.UNFARMABLE, formats.GROUP)


def header_of(tmp_path: Path, content: bytes) -> Header:
    path = tmp_path / "x.plot"
    path.write_bytes(content)
    return read_header(path)


def head(kind: str) -> bytes:
    return formats.header(kind, ID) if kind != "v1.0" else formats.small_v1()[:500]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("v1.0", ("v1.0", 18, 0, None, None, None)),
        ("bladebit", ("bladebit 2", 32, 7, None, None, None)),
        ("Gigahorse", ("mmx-v2.4", 32, None, None, None, None)),
        ("pos2 01", ("pos2 01", 28, 0, 2, 1, 0)),
        ("pos2 02", ("pos2 02", 28, 0, 2, 1, 0)),
        ("PoS2 02", ("PoS2 02", 28, 0, 2, 32, 0)),
        ("PoS2 82", ("PoS2 82", 28, 0, 2, 32, 0)),
    ],
)
def test_the_header_names_format_and_shape_and_who_farms_the_plot(
    tmp_path: Path, kind: str, expected: tuple[object, ...]
) -> None:
    found = header_of(tmp_path, head(kind))

    shape = (found.k, found.compression, found.strength, found.group_size, found.meta_group)
    assert (found.format, *shape) == expected
    assert (found.plot_id, found.memo_len) == (ID.hex(), 112)
    assert found.pool == Pool(PoolKind.CONTRACT, "05" * 32)


def test_a_memo_of_128_bytes_begins_with_the_key_of_the_pool(tmp_path: Path) -> None:
    memo = b"\6" * 48 + formats.FARMER + formats.SECRET
    content = b"PoS2\2" + ID + struct.pack("<BBHBQB", 28, 2, 1, 9, 0, 128) + memo

    found = header_of(tmp_path, content)

    assert (found.pool, found.meta_group) == (Pool(PoolKind.KEY, "06" * 48), 9)


@pytest.mark.parametrize("kind", ["v1.0", *ALL])
def test_no_header_and_no_error_shows_the_secret_key(tmp_path: Path, kind: str) -> None:
    content = head(kind)
    shown = [repr(header_of(tmp_path, content))]
    for length in range(len(content)):
        try:
            shown.append(repr(header_of(tmp_path, content[:length])))
        except NotAPlot as error:
            shown.append(f"{error} {error!r} {error.__cause__!r} {error.args}")
    for at in range(4, 56):
        try:
            shown.append(repr(header_of(tmp_path, content[:at] + b"\xff" + content[at + 1 :])))
        except NotAPlot as error:
            shown.append(f"{error} {error!r} {error.__cause__!r} {error.args}")

    assert not [text for text in shown if "a9a9" in text.lower() or "a9 a9" in text or "xa9" in text]


@pytest.mark.parametrize("kind", ["v1.0", *ALL])
def test_a_file_that_ends_within_its_header_is_short(tmp_path: Path, kind: str) -> None:
    content = head(kind)
    shortest = content.index(formats.MEMO) + len(formats.MEMO)
    for length in range(shortest):
        with pytest.raises(NotAPlot) as error:
            header_of(tmp_path, content[:length])
        assert error.value.short, length


def group(k: int = 28, strength: int = 2, n: int = 1, memo: int = 112) -> bytes:
    return b"PoS2\2" + ID + struct.pack("<BBHBQB", k, strength, n, 0, 0, memo) + bytes(memo)


def raw(k: int = 28, strength: int = 2, memo: int = 112) -> bytes:
    return b"pos2\1" + ID + struct.pack("<BBHBB", k, strength, 0, 0, memo) + bytes(memo)


def bladebit(k: int = 32, level: int = 7, memo: int = 0) -> bytes:
    start = b"PLOT" + struct.pack("<I", 2) + ID + struct.pack(">BH", k, memo)
    return start + bytes(memo) + struct.pack("<IB", 1, level) + bytes(160)


def v1(k: int = 32, text: bytes = b"v1.0", memo: int = 0) -> bytes:
    start = b"Proof of Space Plot" + ID + struct.pack(">BH", k, len(text)) + text
    return start + struct.pack(">H", memo) + bytes(memo + 80)


@pytest.mark.parametrize("make", [group, raw])
@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"k": 27}, "of k27"),
        ({"k": 16}, "of k16"),
        ({"k": 34}, "of k34"),
        ({"strength": 1}, "of k28 and strength 1"),
        ({"strength": 26}, "of k28 and strength 26"),
        ({"k": 18, "strength": 16}, "of k18 and strength 16"),
        ({"memo": 111}, "with a memo of 111 bytes"),
        ({"memo": 0}, "with a memo of 0 bytes"),
    ],
)
def test_what_no_plotter_of_the_new_proof_makes_is_no_plot(
    tmp_path: Path, make: type, values: dict[str, int], what: str
) -> None:
    with pytest.raises(NotAPlot, match=rf"has the header of a plot {what}\."):
        header_of(tmp_path, make(**values))
    for possible in ({"k": 18}, {"k": 32}, {"strength": 25}, {"k": 18, "strength": 15}, {"memo": 128}):
        assert header_of(tmp_path, make(**possible)).k


def test_a_group_without_plots_is_no_plot(tmp_path: Path) -> None:
    with pytest.raises(NotAPlot, match="group without plots"):
        header_of(tmp_path, group(n=0))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (bladebit(level=0), "of compression 0"),
        (bladebit(level=10), "of compression 10"),
        (bladebit(k=15), "of k15"),
        (bladebit(memo=257), "with a memo of 257 bytes"),
        (v1(k=51), "of k51"),
        (v1(memo=257), "with a memo of 257 bytes"),
        (v1(text=b""), "of a format without a name"),
        (v1(text=b"v1\x1b[2J"), "of a format without a name"),
        (v1(text=b"PoS2 02"), "of a format without a name"),
        (v1(text=b"v" * 33), "of a format without a name"),
    ],
)
def test_what_no_plotter_of_the_first_proof_makes_is_no_plot(
    tmp_path: Path, content: bytes, what: str
) -> None:
    with pytest.raises(NotAPlot, match=rf"has the header of a plot {what}\.") as error:
        header_of(tmp_path, content)
    assert not error.value.short


def test_a_memo_of_another_kind_names_no_pool(tmp_path: Path) -> None:
    assert [header_of(tmp_path, make(memo=5)).pool for make in (v1, bladebit)] == [None, None]


@pytest.mark.parametrize("kind", formats.UNFARMABLE)
def test_formats_that_nothing_farms_say_why(tmp_path: Path, kind: str) -> None:
    why = header_of(tmp_path, head(kind)).unfarmable
    assert {
        "pos2 01": "made before pos2-chip 1.0",
        "pos2 02": "raw member",
        "PoS2 82": "extension of xchplot2",
    }[kind] in (why or "")


@pytest.mark.parametrize("kind", ["v1.0", "bladebit", "Gigahorse", formats.GROUP])
def test_other_formats_are_farmed(tmp_path: Path, kind: str) -> None:
    assert header_of(tmp_path, head(kind)).unfarmable is None


@pytest.mark.parametrize("magic", [b"PoS2\3", b"pos2\3", b"PLOT\3\0\0\0"])
def test_a_version_of_tomorrow_is_a_plot_of_which_nothing_else_is_known(tmp_path: Path, magic: bytes) -> None:
    found = header_of(tmp_path, magic + bytes(500))
    assert (found.plot_id, found.k, found.unfarmable) == (None, None, None)
    assert found.format.endswith("3")
