"""Plot groups that are damaged in each of the ways that were seen, and what their admission says."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import DriveFailed, PlotRefused, TransferFailed
from common.system.plotfile import read_header
from common.worker.digests import read_digest
from common.worker.move_step import never
from harvester_worker.drives import part_files
from harvester_worker.intake import verify
from tests.support import formats
from tests.support.groups import (
    INDEX_AT,
    K_AT,
    MEMO_AT,
    META_AT,
    SIZE_AT,
    STRENGTH_AT,
    make_packed,
    pack,
    with_other_last_bit,
)
from tests.support.proofs import farmed
from tests.support.site import Machines

Damage = Callable[[bytearray], None]


def index_of(plot: bytes) -> int:
    return int.from_bytes(plot[INDEX_AT : INDEX_AT + 8], "little")


def cut(length: Callable[[bytes], int]) -> Damage:
    def damage(plot: bytearray) -> None:
        del plot[length(plot) :]

    return damage


def appended(count: int) -> Damage:
    return lambda plot: plot.extend(os.urandom(count))


def zeroed(count: int) -> Damage:
    def damage(plot: bytearray) -> None:
        middle = len(plot) // 2
        plot[middle : middle + count] = bytes(count)

    return damage


def flipped(place: Callable[[bytes], int]) -> Damage:
    def damage(plot: bytearray) -> None:
        plot[place(plot)] ^= 1

    return damage


def changed(at: int, by: int) -> Damage:
    def damage(plot: bytearray) -> None:
        plot[at] += by

    return damage


def unfinished(plot: bytearray) -> None:
    """As a full drive or a killed plotter leaves it."""
    plot[INDEX_AT : INDEX_AT + 8] = bytes(8)
    del plot[300_000:]


def one_bit(plot: bytearray) -> None:
    plot[:] = with_other_last_bit(plot)


# None: it is admitted, so nothing but a digest finds it.
TABLE: dict[str, tuple[Damage, str | None]] = {
    "header only": (cut(lambda plot: MEMO_AT + 112), r"not whole"),
    "half": (cut(lambda plot: len(plot) // 2), r"not whole"),
    "without its last byte": (cut(lambda plot: len(plot) - 1), r"not whole"),
    "without half of its index": (cut(lambda plot: (len(plot) + index_of(plot)) // 2), r"not whole"),
    "unfinished": (unfinished, r"not whole: it was never finished"),
    "one byte appended": (appended(1), r"not whole"),
    "4 KiB appended": (appended(4096), r"not whole"),
    "a hole of 64 KiB": (zeroed(65536), r"zeros at byte|reading it fails at \d+ of 300 challenges"),
    "4 KiB of zeros": (zeroed(4096), r"zeros at byte|reading it fails at \d+ of 300 challenges"),
    "one bit of its data": (one_bit, None),
    "one bit of its index": (flipped(lambda plot: len(plot) - 900), r"not whole"),
    "another group id": (changed(5, 1), r"has the header of k18"),
    "another strength": (changed(STRENGTH_AT, 1), r"8 of 8 proofs fail"),
    "another meta group": (changed(META_AT, 1), r"8 of 8 proofs fail"),
    "another size of the group": (changed(SIZE_AT, 1), r"not whole"),
    "another k": (changed(K_AT, 2), r"has the header of k20"),
    "another memo": (changed(MEMO_AT, 1), None),
    "another magic": (flipped(lambda plot: 0), r"is not a plot"),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plot group of k18; do not change it."""
    return formats.make_group(tmp_path_factory.mktemp("group"))


@pytest.fixture
def source(good: Path, tmp_path: Path) -> Path:
    """A copy of the group in a plotter's dst directory."""
    (tmp_path / "dst").mkdir()
    copy = tmp_path / "dst" / good.name
    copy.write_bytes(good.read_bytes())
    return copy


def damaged(source: Path, damage: Damage) -> Path:
    plot = bytearray(source.read_bytes())
    damage(plot)
    source.write_bytes(plot)
    return source


@pytest.mark.parametrize("name", TABLE)
def test_a_damaged_group_is_refused_and_its_source_kept(
    plotter: Machines, drive: Path, source: Path, name: str
) -> None:
    damage, refusal = TABLE[name]
    plotter.site.farm.admitter.challenges = 300
    damaged(source, damage)

    if refusal is None:
        assert plotter.archive(source).verified.endswith("8 proofs, all valid")
        assert (drive / source.name).exists()
        return
    with pytest.raises(PlotRefused, match=refusal):
        plotter.archive(source)

    assert source.exists()
    assert list(drive.glob("*.gplot")) == []
    assert [path.name for path in part_files.refused(str(drive))] == [f"{source.name}.refused"]


def test_a_group_of_another_id_under_its_name_is_refused_by_its_proofs(
    plotter: Machines, source: Path
) -> None:
    damaged(source, changed(5, 1))
    source = source.rename(source.with_name(f"plot-k18-{read_header(source).plot_id}.gplot"))
    with pytest.raises(PlotRefused, match="8 of 8 proofs fail"):
        plotter.archive(source)
    assert source.exists()


def test_twenty_bits_are_found_by_chance_and_admitted_only_with_all_proofs_valid(
    plotter: Machines, drive: Path, source: Path
) -> None:
    plot = bytearray(source.read_bytes())
    for number in range(20):
        plot[len(plot) // 30 * (5 + number)] ^= 1
    source.write_bytes(plot)
    try:
        assert plotter.archive(source).verified.endswith("8 proofs, all valid")
    except PlotRefused as error:
        assert re.search(r"proofs fail|reading it fails", error.what)
        assert source.exists()
        assert list(drive.glob("*.gplot")) == []


def test_an_unknown_version_of_the_format_is_not_judged_and_that_is_said(
    plotter: Machines, source: Path
) -> None:
    damaged(source, changed(4, 1))
    assert plotter.archive(source).verified == "header and size (no proofs for format PoS2 03)"


@pytest.mark.parametrize("name", [name for name, (_, refusal) in TABLE.items() if refusal is None])
def test_what_proofs_do_not_find_the_digests_of_both_ends_find(
    plotter: Machines, drive: Path, source: Path, name: str
) -> None:
    delivery = plotter.send(plotter.reserve(source))
    part = damaged(Path(delivery.reservation.part or ""), TABLE[name][0])
    assert "all valid" in verify.prove(part, read_header(part), 30, never).text

    with pytest.raises(TransferFailed, match="Other bytes arrived"):
        plotter.site.farm.admitter.admit(delivery, digest=read_digest(part, never))

    assert not part.exists()
    assert source.exists()
    assert list(drive.glob("*.gplot")) == []


@pytest.mark.parametrize("name", [name for name, (_, refusal) in TABLE.items() if refusal is None])
def test_what_the_drive_changes_is_found_by_reading_back(
    plotter: Machines, drive: Path, source: Path, name: str
) -> None:
    delivery = plotter.send(plotter.reserve(source))
    damaged(Path(delivery.reservation.part or ""), TABLE[name][0])
    plotter.site.farm.admitter.read_back = True

    with pytest.raises(DriveFailed):
        plotter.admit(delivery)

    assert source.exists()
    assert list(drive.glob("*.gplot")) == []


def test_proofs_of_a_group_are_made_of_all_its_plots(machines: Machines, drive: Path, tmp_path: Path) -> None:
    (tmp_path / "dst").mkdir(exist_ok=True)
    source = make_packed(tmp_path / "dst", members=4)
    assert farmed(source) == {0, 1, 2, 3}

    verified = machines.archive(source).verified

    assert verified.endswith("qualities; 8 proofs of 4 members, all valid")
    assert not source.exists()
    assert farmed(drive / source.name) == {0, 1, 2, 3}


def test_the_packer_of_groups_writes_a_group_of_one_as_chia_rs_does(good: Path) -> None:
    assert pack([good.read_bytes()]) == good.read_bytes()
