"""A plot's file: its name, its header, and its state, without reading it all."""

from __future__ import annotations

import os
import stat
import struct
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from common.errors import PlotmanError
from common.model.plot_name import PlotName
from common.model.snapshot import PlotState
from common.model.text import without_controls
from common.system.openfile import is_open_for_writing, read_beginning

__all__ = ["Header", "NotAPlot", "classify", "expected_size_bytes", "is_open_for_writing", "read_header"]


# If the header does not give the size, a file counts as complete after this time without a change; the longer
# time applies if the kernel cannot say whether it is open for writing.
QUIET_S = 10.0
UNSEEN_QUIET_S = 300.0


class NotAPlot(PlotmanError):
    """The file has no plot's header. short: it ends within the header."""

    def __init__(self, what: str, short: bool = False) -> None:
        super().__init__(what)
        self.short = short


@dataclass(frozen=True, slots=True)
class Header:
    """A plot's header. None and () stand for unknown fields of a format.

    table_pointers: of tables 1-7, C1, C2, C3; offsets into the file in bytes.
    """

    format: str  # "v1.0", "bladebit 2", "pos2", "PoS2"
    plot_id: str | None = None
    k: int | None = None
    memo_len: int | None = None
    compression: int | None = None
    table_pointers: tuple[int, ...] = ()


_V1, _BLADEBIT, _POS2_OLD, _POS2 = b"Proof of Space Plot", b"PLOT", b"pos2", b"PoS2"
_K_MAX = 50  # chiapos, pos_constants.hpp, kMaxPlotSize
_HEAD_BYTES = 1024  # more than any header: magic, id, k, format, a memo of at most 128 bytes, pointers


def read_header(path: str | Path) -> Header:
    """Read a plot's header. Raises NotAPlot, or OSError where the file cannot be read."""
    head = read_beginning(path, _HEAD_BYTES)
    try:
        for magic, parse in _FORMATS:
            if head.startswith(magic):
                return _possible(path, parse(head[len(magic) :]))
    except (struct.error, IndexError) as error:
        raise NotAPlot(f"{path} ends within its header ({len(head)} bytes).", short=True) from error
    if any(magic.startswith(head) for magic, _ in _FORMATS):
        raise NotAPlot(f"{path} ends within its header ({len(head)} bytes).", short=True)
    raise NotAPlot(f"{path} is named like a plot but begins with {head[:19].hex(' ')}.")


def _possible(path: str | Path, header: Header) -> Header:
    if header.k is not None and not 1 <= header.k <= _K_MAX:
        raise NotAPlot(f"{path} has the header of a plot of k{header.k}.")
    return header


def _v1(head: bytes) -> Header:
    """chiapos and madMAx: id 32, k 1, length 2 and format, length 2 and memo, ten big-endian pointers.

    Gigahorse writes the same with other format strings, and other meanings of the pointers.
    """
    k, format_len = struct.unpack_from(">BH", head, 32)
    text = head[35 : 35 + format_len].decode("ascii", "replace")
    if text != "v1.0":
        return Header(text, head[:32].hex(), k)
    (memo_len,) = struct.unpack_from(">H", head, 35 + format_len)
    pointers = struct.unpack_from(">10Q", head, 37 + format_len + memo_len)
    return Header(text, head[:32].hex(), k, memo_len, 0, pointers)


def _bladebit(head: bytes) -> Header:
    """bladebit 3, compressed: version 4 (little-endian), id 32, k 1, memo length 2 and memo, flags 4
    (bit 0: compressed), level 1. Its tables may be in any order: the pointers do not give the size.
    """
    (version,) = struct.unpack_from("<I", head)
    if version != 2:
        return Header(f"bladebit {version}")
    k, memo_len = struct.unpack_from(">BH", head, 36)
    flags, level = struct.unpack_from("<IB", head, 39 + memo_len)
    return Header("bladebit 2", head[4:36].hex(), k, memo_len, level if flags & 1 else 0)


def _pos2_old(head: bytes) -> Header:
    """chia_rs 0.48, version 1: version 1, id 32, k 1."""
    version, plot_id, k = struct.unpack_from(">B32sB", head)
    return Header("pos2", plot_id.hex(), k) if version == 1 else Header("pos2")


def _pos2(_: bytes) -> Header:
    """chia_rs 0.53, version 2. Upstream still changes what follows the magic."""
    return Header("PoS2")


_FORMATS = ((_V1, _v1), (_BLADEBIT, _bladebit), (_POS2_OLD, _pos2_old), (_POS2, _pos2))


def expected_size_bytes(header: Header) -> int | None:
    """Size of the whole file by its header, exact to the byte; None if the header does not give it.

    C3 is the last table of chiapos and madMAx, with one park for each entry of C1, which ends with an empty
    one (chiapos, plotter_disk phase 4; compared with files of both, k18 to k25). bladebit orders and pads its
    tables differently, which shows in a C2 that does not fit C1; then the answer is None.
    """
    if header.format != "v1.0" or header.k is None or len(header.table_pointers) != 10:
        return None
    c1, c2, c3 = header.table_pointers[7:]
    entry_bytes = (header.k + 7) // 8
    c1_entries, c1_rest = divmod(c2 - c1, entry_bytes)
    c2_entries, c2_rest = divmod(c3 - c2, entry_bytes)
    contiguous = c3 == max(header.table_pointers) and not c1_rest and not c2_rest
    if not contiguous or c2_entries - 1 != -(-(c1_entries - 1) // 10_000):
        return None
    return c3 + (c1_entries - 1) * (10_000 if header.k < 20 else 3_000)


def classify(path: str | Path, now: datetime) -> tuple[PlotState, str | None, PlotName | None, int]:
    """Classify a file that is named like a plot. Opens and stats it, which may hang with its drive: call it
    through common.system.probe.

    Returns:
        Its state, why it is not ready, its name, its size in bytes. The name of a misnamed plot is the one
        that fits its header; None: unknown.

    Raises:
        OSError: It does not exist or is unreadable.
    """
    path = Path(path)
    name = PlotName.parse(path.name)
    status = path.lstat()
    size_bytes = status.st_size
    if stat.S_ISLNK(status.st_mode):
        return PlotState.FOREIGN, f"a link to {printable(os.readlink(path))}", name, size_bytes  # noqa: PTH115
    if not stat.S_ISREG(status.st_mode):
        return PlotState.FOREIGN, "not a regular file", name, size_bytes
    writing = is_open_for_writing(path)
    if writing:
        return PlotState.OPEN, "it is still being written", name, size_bytes
    try:
        header = read_header(path)
    except NotAPlot as error:
        if name is None:
            return PlotState.FOREIGN, "not named like a plot", None, size_bytes
        return PlotState.TRUNCATED if error.short else PlotState.FOREIGN, error.what, name, size_bytes
    expected = expected_size_bytes(header)
    if expected is not None and size_bytes < expected:
        return PlotState.TRUNCATED, f"{size_bytes} of {expected} bytes", name, size_bytes
    if name is None or header.plot_id not in (None, name.plot_id) or header.k not in (None, name.k):
        right = right_name(header, status.st_mtime)
        return PlotState.MISNAMED, _misnamed(header, right), right, size_bytes
    state, reason = _judge(expected, writing, now.timestamp() - status.st_mtime)
    return state, reason, name, size_bytes


_MADE_LATEST_S = 1 << 32  # a file system may give years that no calendar has


def right_name(header: Header, made_s: float) -> PlotName | None:
    """The name for a plot with this header; None if its id is unknown. made_s: Unix time."""
    if header.plot_id is None or header.k is None:
        return None
    if header.format == "pos2":
        return PlotName.parse(f"plot-k{header.k}-{header.plot_id}.plot2")
    level = f"c{header.compression:02}-" if header.compression else ""
    made_s = min(max(made_s, 0), _MADE_LATEST_S)
    made = datetime.fromtimestamp(made_s).astimezone()  # as plotters do, by this machine's clock
    return PlotName.parse(f"plot-k{header.k}-{level}{made:%Y-%m-%d-%H-%M}-{header.plot_id}.plot")


def _misnamed(header: Header, right: PlotName | None) -> str:
    if right is None:
        return f"a plot (format {header.format}) that is not named like one"
    return f"this is plot {right.plot_id[:8]} under another name; it should be called {right.name}"


def _judge(expected_bytes: int | None, writing: bool | None, quiet_s: float) -> tuple[PlotState, str | None]:
    """State of a whole plot under its right name, and why it is not ready. quiet_s: since its last change."""
    needed_s = UNSEEN_QUIET_S if writing is None else QUIET_S
    if expected_bytes is None and quiet_s < needed_s:
        return PlotState.OPEN, f"changed {max(0.0, quiet_s):.0f} s ago, waiting for {needed_s:.0f} s"
    return PlotState.READY, None


def printable(name: str) -> str:
    """A file name for text and JSON: bytes that are not UTF-8, and control characters, are escaped."""
    return without_controls(os.fsencode(name).decode("utf-8", "backslashreplace"))
