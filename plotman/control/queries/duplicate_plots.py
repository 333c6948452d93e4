"""Plots that are in several files of the farm, found without the ids of all plots in one place.

Each harvester gives the short keys of its plots slice by slice, all harvesters the same slice. Files are
asked for only of keys that come twice in a slice, and compared by their whole ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from common.errors import PlotmanError
from common.model.inventory import KEY_BITS, MOST_KEYS, FileRow, InventoryPage, key_of
from common.names import INVENTORY
from plotman.control.rpc import TaskCall, ask_each

_ANSWER_S = 20.0
_MOST_SLICES = 2_000
_KEYS_AT_ONCE = 300  # in one question for files; a plot has seldom more than three
DUPLICATES_MAX = 20_000  # plots that are listed


@dataclass(frozen=True)
class DuplicatePlot:
    """A plot, or a plot group, in several files. places: (host, file)."""

    plot_id: str
    places: tuple[tuple[str, FileRow], ...]

    @property
    def spare_bytes(self) -> int:
        """What all copies but the largest take."""
        sizes = [file.size_bytes for _, file in self.places]
        return sum(sizes) - max(sizes)


def find(
    files: dict[str, int], missing: dict[str, str], progress: Callable[[int, int], None] = lambda *_: None
) -> Iterator[DuplicatePlot]:
    """Yield the plots that are in several files of these hosts, DUPLICATES_MAX at most.

    Args:
        files: host -> number of its files with plots.
        missing: gets the hosts that do not answer; their plots are left out from there on.
        progress: called with the number of slices that are done, and of all.
    """
    slices = list(_slices(max(files.values(), default=0)))
    found = 0
    for number, (begin, end) in enumerate(slices):
        hosts = [host for host in files if host not in missing]
        for duplicate in _in_slice(hosts, begin, end, missing):
            yield duplicate
            found += 1
            if found >= DUPLICATES_MAX:
                return
        progress(number + 1, len(slices))


def _slices(most_files: int) -> Iterator[tuple[int, int]]:
    """Equal parts of all keys, so that the host with most files has half of MOST_KEYS in each."""
    count = min(_MOST_SLICES, 2 * most_files // MOST_KEYS + 1)
    yield from pairwise((1 << KEY_BITS) * at // count for at in range(count + 1))


def _in_slice(hosts: Sequence[str], begin: int, end: int, missing: dict[str, str]) -> Iterator[DuplicatePlot]:
    kwargs = {"what": InventoryPage.KEYS.value, "begin": begin, "end": end}
    keys: dict[str, list[int]] = {}
    counts: Counter[int] = Counter()
    for host, answer in _answers([TaskCall(INVENTORY, host, kwargs) for host in hosts], missing):
        keys[host] = [key for key in answer["keys"] if begin <= key < end]
        counts.update(keys[host])
    doubtful = {key for key, count in counts.items() if count > 1}
    calls = [
        TaskCall(INVENTORY, host, {"what": InventoryPage.COPIES.value, "keys": list(some)})
        for host, known in keys.items()
        for some in _batches(sorted(doubtful.intersection(known)))
    ]
    places: dict[tuple[str, int], list[tuple[str, FileRow]]] = {}
    for host, answer in _answers(calls, missing):
        for row in answer["files"]:
            file = FileRow.model_validate(row)
            if file.plot_id and key_of(bytes.fromhex(file.plot_id), file.meta_group) in doubtful:
                places.setdefault((file.plot_id, file.meta_group), []).append((host, file))
    for (plot_id, _), files in sorted(places.items()):
        if len(files) > 1:
            yield DuplicatePlot(plot_id, tuple(files))


def _answers(calls: Sequence[TaskCall], missing: dict[str, str]) -> Iterable[tuple[str, dict[str, Any]]]:
    for call, answer in zip(calls, ask_each(calls, timeout_s=_ANSWER_S), strict=True):
        if isinstance(answer, PlotmanError):
            missing.setdefault(call.host, str(answer))
        else:
            yield call.host, answer


def _batches(keys: Sequence[int]) -> Iterator[tuple[int, ...]]:
    yield from (tuple(keys[at : at + _KEYS_AT_ONCE]) for at in range(0, len(keys), _KEYS_AT_ONCE))


def as_dict(duplicate: DuplicatePlot) -> dict[str, Any]:
    """A plot of `plotman inventory --duplicates --json`."""
    return {
        "plot_id": duplicate.plot_id,
        "spare_bytes": duplicate.spare_bytes,
        "files": [{"host": host, **file_dict(file)} for host, file in duplicate.places],
    }


def file_dict(file: FileRow) -> dict[str, Any]:
    """A file of `--files` and `--duplicates`."""
    return file.model_dump(mode="json")
