"""What a file on a drive is, by its bytes: the class of its plots, or the reason why it is none."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from types import SimpleNamespace

import pytest

from common.model.figures import MOST
from common.model.inventory import key_of
from common.model.plot_class import PlotClass, PoolKind
from harvester_worker.inventory.entry import Entry, Stamp, examine, made, month_text
from harvester_worker.inventory.reading import FILES_MAX
from tests.support import formats
from tests.support.plots import write_plot

PLOT_ID = secrets.token_bytes(32)
CONTRACT = {"pool": PoolKind.CONTRACT, "pool_key": formats.CONTRACT.hex()}


def entry(path: Path) -> Entry:
    return examine(os.fsencode(path), path.lstat())


def headed(folder: Path, kind: str, name: str | None = None) -> Path:
    """A plot whose header is real."""
    path = folder / (name or formats.name(kind, PLOT_ID))
    head = formats.header(kind, PLOT_ID)
    path.write_bytes(head + os.urandom(formats.PLOT_BYTES - len(head)))
    return path


def test_a_compressed_plot_of_bladebit(tmp_path: Path) -> None:
    found = entry(headed(tmp_path, "bladebit"))
    assert found == Entry(
        PlotClass(format="bladebit 2", k=32, compression=7, **CONTRACT), 1, PLOT_ID, 0, 202611
    )
    assert found.key == key_of(PLOT_ID, 0)


def test_the_level_of_gigahorse_is_in_its_name(tmp_path: Path) -> None:
    found = entry(headed(tmp_path, "Gigahorse"))
    assert found.plot_class == PlotClass(format="mmx-v2.4", k=32, compression=7, **CONTRACT)
    renamed = entry(headed(tmp_path, "Gigahorse", f"plot-k32-2026-11-22-15-48-{PLOT_ID.hex()}.plot"))
    assert renamed.plot_class is not None
    assert renamed.plot_class.compression is None


def test_a_plot_group_counts_as_many_plots_as_it_has(tmp_path: Path) -> None:
    path = formats.make_group(tmp_path, meta_group=3)
    found = entry(path)
    assert found.plot_class is not None
    assert (found.plot_class.format, found.plot_class.k, found.plot_class.strength) == ("PoS2 02", 18, 2)
    assert (found.plots, found.meta_group, found.reason) == (1, 3, None)
    assert found.plot_id is not None
    assert found.key == key_of(found.plot_id, 3) != key_of(found.plot_id, 0)


def test_a_plot_of_the_first_format(tmp_path: Path) -> None:
    path = write_plot(tmp_path, 500)
    found = entry(path)
    assert found.plot_class == PlotClass(format="v1.0", k=25, compression=0)
    assert (found.plots, found.made, found.plot_id) == (1, 202611, bytes.fromhex(path.stem[-64:]))


@pytest.mark.parametrize("kind", formats.UNFARMABLE)
def test_a_plot_that_no_software_farms_is_a_class_of_its_own_and_no_copy_of_another(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / formats.name(kind, PLOT_ID)
    path.write_bytes(formats.header(kind, PLOT_ID) + bytes(2_000_000) if kind == "PoS2 82" else whole(kind))
    found = entry(path)
    assert found.plot_class is not None
    assert found.plot_class.unfarmable
    assert found.reason
    assert found.key is None


def whole(kind: str) -> bytes:
    """A raw plot, k28, whose table of chunks fits the file."""
    head = formats.header(kind, PLOT_ID)
    chunks = 1 << 12
    first = len(head) + 8 + 8 * chunks
    offsets = [first + 8 * number for number in range(chunks)]
    table = chunks.to_bytes(8, "little") + b"".join(at.to_bytes(8, "little") for at in offsets)
    return head + table + bytes(8 * chunks)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def other(path: Path) -> None:
    path.write_bytes(os.urandom(2000))


def cut(path: Path) -> None:
    head = formats.header("bladebit", PLOT_ID, 10_000)
    path.write_bytes(head + os.urandom(5000))


def in_its_header(path: Path) -> None:
    path.write_bytes(formats.header("bladebit", PLOT_ID)[:100])


def link(path: Path) -> None:
    path.symlink_to("/nowhere")


def pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (empty, "ends within its header (0 bytes)"),
        (other, "is no plot: it begins with "),
        (cut, "truncated: "),
        (in_its_header, "ends within its header (100 bytes)"),
        (link, "a link: "),
        (pipe, "not a regular file"),
    ],
)
def test_what_is_no_whole_plot_has_a_reason(tmp_path: Path, spoil: object, reason: str) -> None:
    path = tmp_path / formats.name("bladebit", PLOT_ID)
    spoil(path)  # type: ignore[operator]
    found = entry(path)
    assert (found.plots, found.plot_class, found.key) == (0, None, None)
    assert (found.reason or "").startswith(reason)
    assert str(tmp_path) not in (found.reason or "")


def test_a_copy_that_another_program_makes_is_unfinished(tmp_path: Path) -> None:
    found = entry(headed(tmp_path, "bladebit", formats.name("bladebit", PLOT_ID) + ".tmp"))
    assert (found.plots, found.reason) == (0, "unfinished: a program still copies it, or left it")


def test_a_plot_with_another_name_is_a_plot(tmp_path: Path) -> None:
    found = entry(headed(tmp_path, "bladebit", "old.plot"))
    assert (found.plots, found.plot_id) == (1, PLOT_ID)


def test_a_name_that_is_no_text_is_read(tmp_path: Path) -> None:
    assert entry(headed(tmp_path, "bladebit", os.fsdecode(b"\xff\xfe.plot"))).plots == 1


ID = "ab" * 32


@pytest.mark.parametrize(
    ("name", "mtime_s", "month"),
    [
        (f"plot-k32-2021-04-03-10-11-{ID}.plot", 1.7e9, 202104),
        (f"plot-k32-c07-2023-12-31-23-59-{ID}.plot", 0, 202312),
        (f"plot-k32-2021-13-03-10-11-{ID}.plot", 0, 197001),
        (f"plot-k28-{ID}.gplot", 1_795_000_000, 202611),
        ("any.plot", 1e30, 0),
        ("any.plot", -1e30, 0),
    ],
)
def test_the_month_is_of_the_name_or_else_of_the_last_change(name: str, mtime_s: float, month: int) -> None:
    assert made(name, mtime_s) == month


def test_months_as_text() -> None:
    assert (month_text(202611), month_text(0)) == ("2026-11", None)


def test_a_stamp_fits_the_store_whatever_a_file_system_answers() -> None:
    status = SimpleNamespace(st_size=5, st_mtime_ns=1 << 70, st_ino=(1 << 64) - 2)
    assert Stamp.of(status) == Stamp(5, (1 << 63) - 1, -2)  # type: ignore[arg-type]
    sparse = SimpleNamespace(st_size=(1 << 63) - 1, st_mtime_ns=0, st_ino=1)
    assert FILES_MAX * Stamp.of(sparse).size_bytes <= MOST  # type: ignore[arg-type]
