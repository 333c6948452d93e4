"""Which damage to a plot is seen without reading it all, for each format, and which is not."""

from __future__ import annotations

import os
import secrets
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from common.model.snapshot import PlotState
from common.system.plotfile import NotAPlot, Verdict, Wholeness, classify, read_header, whole
from tests.support import formats, groups

NOW = datetime(2100, 1, 1, tzinfo=UTC)
COMPLETE, TRUNCATED, UNKNOWN = Verdict
Damage = Callable[[bytes], bytes]


def judged(path: Path, content: bytes) -> Verdict | str:
    path.write_bytes(content)
    try:
        return whole(path, read_header(path)).verdict
    except NotAPlot as error:
        return "short" if error.short else "no plot"


def flipped(at: int | float, bits: int = 1) -> Damage:
    """Change a bit at a byte, counted from the end if it is negative, or at a part of the file."""

    def flip(plot: bytes) -> bytes:
        position = int(at * len(plot)) if isinstance(at, float) else at % len(plot)
        return plot[:position] + bytes([plot[position] ^ bits]) + plot[position + 1 :]

    return flip


def zeroed(begin: float, size_bytes: int | None = None) -> Damage:
    def zero(plot: bytes) -> bytes:
        start = int(begin * len(plot))
        end = len(plot) if size_bytes is None else start + size_bytes
        return plot[:start] + bytes(end - start) + plot[end:]

    return zero


def cut(part: float) -> Damage:
    return lambda plot: plot[: int(len(plot) * part)]


def replaced(at: int, by: bytes) -> Damage:
    return lambda plot: plot[:at] + by + plot[at + len(by) :]


def as_it_is(plot: bytes) -> bytes:
    return plot


# Damage, whether a plot so damaged is found whole, and the state of the file in a dst directory. Ready: it is
# taken for the plot, and only proofs or a digest find the damage.
READY, OPEN, CUT, FOREIGN, OTHER = (
    PlotState.READY,
    PlotState.OPEN,
    PlotState.TRUNCATED,
    PlotState.FOREIGN,
    PlotState.MISNAMED,
)


def _named(value: object) -> str | None:
    """The id of a parameter, equal in each process that collects the tests; a function has another."""
    return value[:40] if isinstance(value, str) else None


Row = tuple[str, Damage, Verdict | str, PlotState]
ANY: list[Row] = [
    ("none", as_it_is, COMPLETE, READY),
    ("empty", cut(0), "short", CUT),
    ("half of its header", lambda plot: plot[:100], "short", CUT),
    ("half", cut(0.5), TRUNCATED, CUT),
    ("nine tenths", cut(0.9), TRUNCATED, CUT),
    ("the last byte is missing", lambda plot: plot[:-1], TRUNCATED, CUT),
    ("zeros from its half", zeroed(0.5), TRUNCATED, CUT),
    ("zeros from its middle, and its end", zeroed(0.4, 200_000), TRUNCATED, CUT),
    ("one bit of its data", flipped(0.5), COMPLETE, READY),
    ("other bytes at its beginning", replaced(0, b"other"), "no plot", FOREIGN),
    ("nothing but zeros", zeroed(0), "no plot", FOREIGN),
]
GROUP: list[Row] = [
    *ANY,
    ("header and memo only", lambda plot: plot[:163], TRUNCATED, CUT),
    ("half of its index", lambda plot: plot[:-2500], TRUNCATED, CUT),
    ("a full drive: no index yet", lambda plot: replaced(42, bytes(8))(plot)[:-5000], TRUNCATED, CUT),
    ("a full drive, all room reserved", replaced(42, bytes(8)), TRUNCATED, CUT),
    ("one byte appended", lambda plot: plot + b"x", TRUNCATED, CUT),
    ("a zero appended", lambda plot: plot + b"\0", TRUNCATED, CUT),
    ("4 KiB appended", lambda plot: plot + secrets.token_bytes(4096), TRUNCATED, CUT),
    ("4 KiB missing in its middle", lambda plot: plot[:300_000] + plot[304_096:], TRUNCATED, CUT),
    ("a hole of 64 KiB", zeroed(0.5, 65_536), TRUNCATED, CUT),
    ("the first block of its data", replaced(163, bytes(4096)), TRUNCATED, CUT),
    ("one bit of its index", flipped(-3000), TRUNCATED, CUT),
    ("the last byte of its index", flipped(-1, 0xFF), TRUNCATED, CUT),
    ("group id", flipped(5), COMPLETE, OTHER),
    ("k", replaced(37, b"\x14"), TRUNCATED, CUT),
    ("k that is impossible", flipped(37), "no plot", FOREIGN),
    ("strength", replaced(38, b"\3"), COMPLETE, READY),
    ("number of plots", replaced(39, b"\2"), TRUNCATED, CUT),
    ("meta group", flipped(41), COMPLETE, READY),
    ("index one byte later", lambda plot: replaced(42, bytes([plot[42] + 1 & 255]))(plot), TRUNCATED, CUT),
    ("index beyond its end", replaced(45, b"\1"), TRUNCATED, CUT),
    ("index within its header", replaced(42, struct.pack("<Q", 60)), TRUNCATED, CUT),
    ("another pool", flipped(60), COMPLETE, READY),
    ("format of tomorrow", replaced(4, b"\3"), UNKNOWN, READY),
    ("extension of xchplot2", replaced(4, b"\x82"), UNKNOWN, FOREIGN),
]
POINTERS = 19 + 32 + 1 + 2 + 4 + 2 + 112
V1: list[Row] = [
    *ANY,
    ("4000 bytes are missing", lambda plot: plot[:-4000], TRUNCATED, CUT),
    ("padded to a block", lambda plot: plot + bytes(4095), COMPLETE, READY),
    ("a megabyte appended", lambda plot: plot + b"x" * (1 << 20), TRUNCATED, CUT),
    ("a hole of 256 KiB", zeroed(0.3, 1 << 18), TRUNCATED, CUT),
    ("plot id", flipped(19), COMPLETE, OTHER),
    ("k", replaced(51, b"\x13"), COMPLETE, OTHER),
    ("k that is impossible", replaced(51, b"\0"), "no plot", FOREIGN),
    ("no pointers yet", replaced(POINTERS, bytes(80)), TRUNCATED, CUT),
    ("no pointer of C3 yet", replaced(POINTERS + 72, bytes(8)), TRUNCATED, CUT),
    ("pointer of C3 beyond its end", replaced(POINTERS + 72, b"\1"), TRUNCATED, CUT),
]


@pytest.mark.parametrize(("what", "damage", "verdict", "state"), GROUP, ids=_named)
def test_damage_to_a_plot_group(
    tmp_path: Path, real: dict[str, Path], what: str, damage: Damage, verdict: Verdict, state: PlotState
) -> None:
    _check(tmp_path, real[formats.GROUP], damage, verdict, state)


@pytest.mark.parametrize(("what", "damage", "verdict", "state"), V1, ids=_named)
def test_damage_to_a_plot_of_chiapos(
    tmp_path: Path, real: dict[str, Path], what: str, damage: Damage, verdict: Verdict, state: PlotState
) -> None:
    _check(tmp_path, real["v1.0"], damage, verdict, state)


# Its header is 320 bytes long, pointers at 160, sizes at 240.
BLADEBIT: list[Row] = [
    *ANY[:7],
    ("zeros from its middle, and its end", zeroed(0.4, 150_000), TRUNCATED, CUT),
    *ANY[8:],
    ("padded to a block", lambda plot: plot + bytes(4095), COMPLETE, READY),
    ("no pointers yet", replaced(160, bytes(80)), TRUNCATED, CUT),
    ("a table beyond its end", replaced(160, b"\1"), TRUNCATED, CUT),
    ("a table longer than the file", replaced(247, b"\1"), TRUNCATED, CUT),
    ("plot id", flipped(8), COMPLETE, OTHER),
    ("k", replaced(40, b"\x21"), COMPLETE, OTHER),
    ("format of tomorrow", replaced(4, b"\3"), UNKNOWN, READY),
]


@pytest.mark.parametrize(("what", "damage", "verdict", "state"), BLADEBIT, ids=_named)
def test_damage_to_a_plot_of_bladebit(
    tmp_path: Path, what: str, damage: Damage, verdict: Verdict, state: PlotState
) -> None:
    plot = formats.make("bladebit", tmp_path, tmp_path)
    assert plot.read_bytes().index(formats.MEMO) == 43
    _check(tmp_path, plot, damage, verdict, state)


GIGAHORSE: list[Row] = [
    ("none", as_it_is, UNKNOWN, READY),
    ("empty", cut(0), "short", CUT),
    ("half", cut(0.5), UNKNOWN, READY),
    ("zeros from its half", zeroed(0.5), TRUNCATED, CUT),
    ("half a megabyte of zeros", zeroed(0.1, 500_000), UNKNOWN, READY),
    ("plot id", flipped(19), UNKNOWN, OTHER),
]


@pytest.mark.parametrize(("what", "damage", "verdict", "state"), GIGAHORSE, ids=_named)
def test_damage_to_a_plot_of_gigahorse_whose_length_nobody_knows(
    tmp_path: Path, what: str, damage: Damage, verdict: Verdict, state: PlotState
) -> None:
    plot = formats.make("Gigahorse", tmp_path, tmp_path)
    with plot.open("ab") as file:
        file.write(secrets.token_bytes(4_000_000))
    _check(tmp_path, plot, damage, verdict, state)


def _check(tmp_path: Path, plot: Path, damage: Damage, verdict: Verdict | str, state: PlotState) -> None:
    path = tmp_path / "there" / plot.name
    path.parent.mkdir()
    content = damage(plot.read_bytes())

    assert judged(path, content) == verdict
    found, why, _, _ = classify(path, NOW)
    assert found is state
    assert (why is None) is (state is READY)


def test_a_group_of_several_plots_is_whole_and_no_longer_when_a_byte_is_missing_or_added(
    tmp_path: Path,
) -> None:
    group = groups.make_packed(tmp_path, members=3)
    content, header = group.read_bytes(), read_header(group)
    assert (header.group_size, header.meta_group, header.k) == (3, 0, 18)
    assert whole(group, header) == Wholeness(COMPLETE)
    for damaged in (content[:-1], content + b"x", content[:5000] + content[5001:], content[:-500]):
        assert judged(tmp_path / "x", damaged) is TRUNCATED


RAW: list[tuple[str, Damage, Verdict]] = [
    ("none", as_it_is, COMPLETE),
    ("half", cut(0.5), TRUNCATED),
    ("within its table", lambda plot: plot[:170], TRUNCATED),
    ("the last byte is missing", lambda plot: plot[:-1], TRUNCATED),
    ("the last chunk is missing", lambda plot: plot[:-5008], TRUNCATED),
    ("one byte appended", lambda plot: plot + b"x", TRUNCATED),
    ("table not written yet", replaced(163, bytes(32)), TRUNCATED),
    ("other number of chunks", flipped(155), TRUNCATED),
    ("first chunk elsewhere", flipped(163), TRUNCATED),
    ("chunks in disorder", flipped(173), TRUNCATED),
    ("a hole", zeroed(0.5, 8192), TRUNCATED),
]


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(("what", "damage", "verdict"), RAW, ids=_named)
def test_raw_plots_are_judged_by_their_table_and_members_of_groups_are_left_alone_whole_or_not(
    tmp_path: Path, version: int, what: str, damage: Damage, verdict: Verdict
) -> None:
    plot = tmp_path / f"plot-k18-{'0f' * 32}.plot2"
    plot.write_bytes(formats.raw(version=version))
    moved = READY if verdict is COMPLETE else CUT
    _check(tmp_path, plot, damage, verdict, FOREIGN if version == 2 else moved)


@pytest.mark.parametrize("kind", ["pos2 02", "PoS2 82"])
def test_a_plot_that_was_not_made_to_be_farmed_stays_in_dst_with_the_reason(
    tmp_path: Path, kind: str
) -> None:
    state, why, _, _ = classify(formats.make(kind, tmp_path, tmp_path), NOW)
    assert state is PlotState.FOREIGN
    assert f"a plot (format {kind}) that is not farmed: " in (why or "")


def sparse(path: Path, plot: Path, hole: int, size_bytes: int) -> None:
    """The plot with a hole in it, for which the drive has no space."""
    content = plot.read_bytes()
    with path.open("wb") as file:
        file.write(content[:hole])
        file.seek(hole + size_bytes)
        file.write(content[hole + size_bytes :])


@pytest.mark.parametrize(
    ("kind", "size_bytes", "verdict"),
    [("v1.0", 1 << 17, TRUNCATED), ("v1.0", 8192, COMPLETE), (formats.GROUP, 8192, TRUNCATED)],
)
def test_a_hole_in_a_file_is_found_wherever_it_is_if_no_padding_explains_it(
    tmp_path: Path, real: dict[str, Path], kind: str, size_bytes: int, verdict: Verdict
) -> None:
    plot = real[kind]
    for hole in range(65_536, plot.stat().st_size - size_bytes, plot.stat().st_size // 50 // 4096 * 4096):
        path = tmp_path / plot.name
        sparse(path, plot, hole // 4096 * 4096, size_bytes)
        assert path.stat().st_blocks * 512 < plot.stat().st_size
        assert whole(path, read_header(path)).verdict is verdict, hole


def claim_a_hole(monkeypatch: pytest.MonkeyPatch, begin: int, end: int) -> None:
    """As ZFS 2.1 and 2.2 did for data that was not on the drive yet."""
    lseek = os.lseek

    def seek(fd: int, at: int, how: int) -> int:
        if how == os.SEEK_HOLE:
            return max(at, begin) if at < end else os.fstat(fd).st_size
        return end if how == os.SEEK_DATA else lseek(fd, at, how)

    monkeypatch.setattr(os, "lseek", seek)


@pytest.mark.parametrize("zeros", ["nowhere", "at its beginning", "in its middle"])
def test_a_hole_that_the_file_system_claims_but_that_has_data_is_none(
    tmp_path: Path, real: dict[str, Path], monkeypatch: pytest.MonkeyPatch, zeros: str
) -> None:
    plot = real["v1.0"]
    path, content = tmp_path / plot.name, bytearray(plot.read_bytes())
    begin, end = 1 << 20, 3 << 20
    at = {"nowhere": 0, "at its beginning": begin, "in its middle": (begin + end) // 2}[zeros]
    content[at : at + 8192 if at else 0] = bytes(8192 if at else 0)
    path.write_bytes(content)
    claim_a_hole(monkeypatch, begin, end)
    assert classify(path, NOW)[:2] == (READY, None)


def test_a_hole_is_believed_if_zeros_are_read_from_it(
    tmp_path: Path, real: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    plot = real["v1.0"]
    path, content = tmp_path / plot.name, plot.read_bytes()
    size_bytes = 69_632  # less than the distance of two samples

    def is_between_samples(begin: int) -> bool:
        path.write_bytes(content[:begin] + bytes(size_bytes) + content[begin + size_bytes :])
        return classify(path, NOW)[0] is READY

    begin = next(at for at in range(1 << 20, 2 << 20, 4096) if is_between_samples(at))
    claim_a_hole(monkeypatch, begin, begin + size_bytes)
    assert classify(path, NOW)[:2] == (CUT, f"zeros at byte {begin}")


def test_the_reason_names_the_place_of_the_zeros(tmp_path: Path, real: dict[str, Path]) -> None:
    path = tmp_path / "x"
    path.write_bytes(zeroed(0.5)(real["v1.0"].read_bytes()))
    found = whole(path, read_header(path))
    at = int((found.reason or "").removeprefix("zeros at byte "))
    assert path.stat().st_size // 2 - 20_000 <= at <= path.stat().st_size


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (replaced(42, bytes(8)), "it was never finished: it has no chunk index"),
        (replaced(42, struct.pack("<Q", 60)), "its chunk index should begin at byte 60"),
        (cut(0.5), "its chunk index should begin at byte"),
        (lambda plot: plot[:-2500], "its chunk index has"),
        (lambda plot: plot + bytes(1_000_000), "its chunk index has"),
        (lambda plot: plot[:-1], "its chunk index is cut off, damaged, or followed by other bytes"),
        (lambda plot: plot + b"x", "its chunk index is cut off, damaged, or followed by other bytes"),
        (lambda plot: replaced(42, bytes([plot[42] - 1 & 255]))(plot), "its chunk"),
    ],
)
def test_the_reason_says_what_is_wrong_with_a_group(
    tmp_path: Path, real: dict[str, Path], damage: Damage, reason: str
) -> None:
    path = tmp_path / "x"
    path.write_bytes(damage(real[formats.GROUP].read_bytes()))
    assert reason in (whole(path, read_header(path)).reason or "")


def test_every_block_of_a_real_plot_may_be_among_the_ones_that_are_looked_at(
    tmp_path: Path, real: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parks are padded with zeros, some by more than a block."""
    for plot in real.values():
        content = plot.read_bytes()
        assert whole(plot, read_header(plot)) == Wholeness(COMPLETE)
        monkeypatch.setattr("common.system.plotfile.wholeness._SAMPLES", len(content) // 4096 + 2)
        monkeypatch.setattr("common.system.plotfile.wholeness._MOST_WINDOWS", 1 << 20)
        assert whole(plot, read_header(plot)) == Wholeness(COMPLETE)
    assert any(
        not any(content[at : at + 4096])
        for content in [real["v1.0"].read_bytes()]
        for at in range(0, len(content) - 4095, 4096)
    )


def test_an_index_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    head = b"PoS2\2" + bytes([15]) * 32 + struct.pack("<BBHBQB", 32, 2, 1, 0, 4096, 112) + formats.MEMO
    path = tmp_path / "x.gplot"
    path.write_bytes(head + os.urandom(10_000))
    os.truncate(path, 4096 + (70 << 20))
    before = _read_bytes()
    assert whole(path, read_header(path)).verdict is not COMPLETE
    assert _read_bytes() - before < 1_000_000


def _read_bytes() -> int:
    """Bytes that this process has read so far."""
    return int(Path("/proc/self/io").read_text(encoding="ascii").split()[1])
