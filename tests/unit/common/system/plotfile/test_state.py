"""What a plot's name, header and writers tell, and what follows from them."""

from __future__ import annotations

import os
import struct
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from common.model.plot_name import PlotName
from common.model.snapshot import PlotState
from common.system.openfile import is_open_for_writing
from common.system.plotfile import (
    Header,
    NotAPlot,
    classify,
    expected_size_bytes,
    printable,
    read_header,
    right_name,
)
from tests.support import formats

ID = "0f" * 32
NAME = f"plot-k18-2026-11-22-15-48-{ID}.plot"
NOW = datetime(2026, 11, 22, 16, 0, tzinfo=UTC)


def v1_plot(size_off: int = 0, k: int = 18, plot_id: str = ID, version: bytes = b"v1.0") -> bytes:
    """The smallest file with a header like chiapos': 24 parks of C3, tables 1-7 empty."""
    memo = b"m" * 128
    header_bytes = 19 + 32 + 1 + 2 + len(version) + 2 + len(memo) + 80
    entry = (k + 7) // 8
    c1, parks = header_bytes, 24
    c2 = c1 + (parks + 1) * entry
    c3 = c2 + 2 * entry
    pointers = struct.pack(">10Q", *([header_bytes] * 7), c1, c2, c3)
    head = b"Proof of Space Plot" + bytes.fromhex(plot_id) + bytes([k])
    head += struct.pack(">H", len(version)) + version + struct.pack(">H", len(memo)) + memo + pointers
    return head + b"d" * (c3 - len(head) + parks * (10_000 if k < 20 else 3_000) + size_off)


def compressed_plot(level: int = 7) -> bytes:
    """Ten tables of 50 bytes each."""
    head = b"PLOT" + struct.pack("<I", 2) + bytes.fromhex(ID) + bytes([32]) + struct.pack(">H", 4) + b"memo"
    head += struct.pack("<IB", 1, level) if level else struct.pack("<I", 0)
    start = len(head) + 160
    head += struct.pack(">10Q", *range(start, start + 500, 50)) + struct.pack("<10Q", *[50] * 10)
    return head + b"d" * 500


@pytest.fixture
def plot(tmp_path: Path) -> Path:
    path = tmp_path / NAME
    path.write_bytes(v1_plot())
    return path


@pytest.mark.parametrize(
    ("name", "k", "compression"),
    [
        (f"plot-k32-2023-06-10-16-22-{ID}.plot", 32, 0),
        (f"plot-k32-c07-2023-06-10-16-22-{ID}.plot", 32, 7),
        (f"plot-k32-c7-2023-05-07-16-58-{ID}.plot", 32, 7),
        (f"plot-mmx-k34-c1-2023-05-07-16-58-{ID}.plot", 34, 1),
        (f"plot-mmx-hdd-k32-c4-2024-05-07-16-58-{ID}.plot", 32, 4),
        (f"plot-k28-{ID}.plot2", 28, 0),
        (f"plot-k28-{ID}.gplot", 28, 0),
    ],
)
def test_names_of_all_plotters_are_read(name: str, k: int, compression: int) -> None:
    assert PlotName.parse(name) == PlotName(name, k, ID, compression)


@pytest.mark.parametrize(
    "name",
    [
        f"plot-k32-2023-06-10-16-22-{ID}.plot.tmp",
        f"plot-k32-2023-06-10-16-22-{ID}.plot.2.tmp",
        f".plot-k32-2023-06-10-16-22-{ID}.plot.aB3dEf",
        f"plot-k28-{ID}.plot2.partial",
        f"plot-k28-{ID}.gplot.partial.aB3dEf",
        f"plot-k28-{ID}.gplot.job.json",
        f"xchplot2-job-{ID}.tsv",
        f"plot-k32-2023-06-10-16-22-{ID[:-1]}.plot",
        f"{ID}.part",
        f"plot-k32-2023-06-10-16-22-{ID}.plot\n",
        "notes.plot",
    ],
)
def test_whatever_is_not_a_finished_plots_name_is_none(name: str) -> None:
    assert PlotName.parse(name) is None


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"caf\xe9.plot", "caf\\xe9.plot"),
        (b"\x1b[2J\n\x07.plot", "\\x1b[2J\\n\\x07.plot"),
        ("caf\u00e9\x9b".encode(), "caf\u00e9\\x9b"),
    ],
)
def test_a_name_is_shown_so_that_it_acts_on_no_terminal(name: bytes, shown: str) -> None:
    assert printable(os.fsdecode(name)) == shown


def test_a_pipe_that_is_named_like_a_plot_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / NAME)
    with pytest.raises(OSError, match="not a regular file"):
        read_header(tmp_path / NAME)
    assert not is_open_for_writing(tmp_path / NAME)


def test_a_v1_header_tells_the_exact_size(plot: Path) -> None:
    header = read_header(plot)

    assert (header.format, header.k, header.plot_id, header.memo_len) == ("v1.0", 18, ID, 128)
    assert expected_size_bytes(header) == plot.stat().st_size


def test_the_size_of_other_formats_is_not_guessed(tmp_path: Path) -> None:
    compressed, other = tmp_path / "a", tmp_path / "b"
    compressed.write_bytes(compressed_plot())
    other.write_bytes(v1_plot(version=b"mmx-v2.4"))

    assert read_header(compressed).compression == 7
    assert expected_size_bytes(read_header(compressed)) is None
    assert expected_size_bytes(read_header(other)) is None


def test_tables_that_are_padded_as_bladebit_does_tell_no_size(plot: Path) -> None:
    text = bytearray(plot.read_bytes())
    start = 19 + 32 + 1 + 2 + 4 + 2 + 128
    c1 = struct.unpack_from(">Q", text, start + 56)[0]
    struct.pack_into(">2Q", text, start + 64, c1 + 4095, c1 + 8190)
    plot.write_bytes(text)

    assert expected_size_bytes(read_header(plot)) is None


@pytest.mark.parametrize("content", [b"", b"Proof of Sp", v1_plot()[:100]])
def test_a_header_that_is_cut_is_told_from_something_else(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / NAME
    path.write_bytes(content)

    with pytest.raises(NotAPlot) as error:
        read_header(path)

    assert error.value.short


@pytest.mark.parametrize(
    ("content", "state", "reason"),
    [
        (v1_plot(), PlotState.READY, None),
        (v1_plot(size_off=1), PlotState.READY, None),
        (v1_plot(size_off=-1), PlotState.TRUNCATED, "bytes"),
        (v1_plot()[:200], PlotState.TRUNCATED, "within its header"),
        (b"", PlotState.TRUNCATED, "within its header"),
        (bytes(5000), PlotState.FOREIGN, "begins with 00 00"),
        (b"PK\x03\x04" * 500, PlotState.FOREIGN, "begins with"),
        (v1_plot(plot_id="aa" * 32), PlotState.MISNAMED, "this is plot aaaaaaaa under another name"),
        (v1_plot(k=19), PlotState.MISNAMED, "plot-k19-"),
        (v1_plot(plot_id="aa" * 32, size_off=-1), PlotState.TRUNCATED, "bytes"),
    ],
)
def test_a_file_is_classified_by_its_header(
    tmp_path: Path, content: bytes, state: PlotState, reason: str | None
) -> None:
    path = tmp_path / NAME
    path.write_bytes(content)

    found, why, name, size_bytes = classify(path, NOW)

    assert found is state
    assert (why is None) if reason is None else (reason in (why or ""))
    assert name is not None
    assert size_bytes == len(content)


@pytest.mark.parametrize(
    ("called", "content", "right"),
    [
        (f"{NAME[:-5]} (copy).plot", v1_plot(), NAME),
        ("my best.PLOT", v1_plot(), NAME),
        (NAME.replace(ID, "aa" * 32), v1_plot(), NAME),
        ("x.plot", compressed_plot(), f"plot-k32-c07-2026-11-22-15-48-{ID}.plot"),
        (f"plot-k28-{ID}.plot2", compressed_plot(0), f"plot-k32-2026-11-22-15-48-{ID}.plot"),
        ("x.plot", v1_plot(version=b"mmx-v2.4", k=32), f"plot-k32-2026-11-22-15-48-{ID}.plot"),
        (NAME.replace(".plot", ".gplot"), v1_plot(), NAME),
        (NAME.replace(".plot", ".plot2"), v1_plot(), NAME),
        ("x.plot2", b"PoS2\x03" + bytes(500), None),
    ],
)
def test_a_plot_under_another_name_is_told_by_its_header_with_the_name_that_it_should_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, called: str, content: bytes, right: str | None
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    path = tmp_path / called
    path.write_bytes(content)
    os.utime(path, (datetime(2026, 11, 22, 15, 48, tzinfo=UTC).timestamp(),) * 2)

    state, why, name, _ = classify(path, NOW)

    assert state is PlotState.MISNAMED
    assert name == (PlotName.parse(right) if right else None)
    if right:
        assert why == f"this is plot {ID[:8]} under another name; it should be called {right}"
        path.rename(tmp_path / right)
        assert classify(tmp_path / right, NOW)[0] is PlotState.READY
    else:
        assert why == "a plot (format PoS2 03) that is not named like one"


@pytest.mark.parametrize("suffix", [".plot", ".plot2"])
def test_a_plot_group_is_found_by_farmers_only_under_its_own_suffix(
    tmp_path: Path, real: dict[str, Path], suffix: str
) -> None:
    group = real[formats.GROUP]
    path = tmp_path / group.with_suffix(suffix).name
    path.write_bytes(group.read_bytes())

    state, why, name, _ = classify(path, NOW)

    assert state is PlotState.MISNAMED
    assert name == PlotName.parse(group.name)
    assert (why or "").endswith(f"it should be called {group.name}")


@pytest.mark.parametrize("called", ["notes.plot", "x.drplot", "y.PLOT"])
def test_what_is_neither_named_nor_begins_like_a_plot_is_foreign(tmp_path: Path, called: str) -> None:
    (tmp_path / called).write_bytes(b"something else")
    state, why, name, _ = classify(tmp_path / called, NOW)
    assert (state, name) == (PlotState.FOREIGN, None)
    assert f"{called} is no plot: it begins with " in (why or "") or f"{called} ends within " in (why or "")


def test_a_file_is_open_as_long_as_somebody_writes_it(plot: Path) -> None:
    with plot.open("ab"):
        assert is_open_for_writing(plot) is True
        assert classify(plot, NOW)[0] is PlotState.OPEN

    assert is_open_for_writing(plot) is False
    assert classify(plot, NOW)[0] is PlotState.READY


def test_a_reader_keeps_no_plot_back(plot: Path) -> None:
    with plot.open("rb"):
        assert classify(plot, NOW)[0] is PlotState.READY


@pytest.mark.parametrize(("age_s", "state"), [(3, PlotState.OPEN), (11, PlotState.READY)])
def test_a_plot_whose_size_is_unknown_must_have_rested(tmp_path: Path, age_s: int, state: PlotState) -> None:
    path = tmp_path / f"plot-k32-c7-2026-11-22-15-48-{ID}.plot"
    path.write_bytes(v1_plot(version=b"mmx-v2.4", k=32))
    os.utime(path, (NOW.timestamp() - age_s,) * 2)

    assert classify(path, NOW)[0] is state


def test_links_and_folders_are_foreign(plot: Path, tmp_path: Path) -> None:
    link = tmp_path / "sub" / NAME
    link.parent.mkdir()
    link.symlink_to(plot)
    folder = tmp_path / f"plot-k28-{ID}.plot2"
    folder.mkdir()

    assert classify(link, NOW)[:2] == (PlotState.FOREIGN, f"a link to {plot}")
    assert classify(folder, NOW)[0] is PlotState.FOREIGN


def test_a_plot_that_vanished_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        classify(tmp_path / NAME, NOW)


@pytest.mark.parametrize("k", [0, 51, 255])
def test_a_header_of_an_impossible_k_is_no_plots(tmp_path: Path, k: int) -> None:
    path = tmp_path / f"plot-k{k}-2026-11-22-15-48-{ID}.plot"
    path.write_bytes(v1_plot()[:51] + bytes([k]) + v1_plot()[52:])
    with pytest.raises(NotAPlot, match=f"of k{k}"):
        read_header(path)
    assert classify(path, NOW)[0] is PlotState.FOREIGN


@pytest.mark.parametrize("made_s", [-1e12, 1e12])
def test_a_misnamed_plot_of_a_year_that_no_calendar_has_is_still_named(made_s: float) -> None:
    right = right_name(Header("v1.0", ID, 18), made_s)
    assert right is not None
    assert right.plot_id == ID
