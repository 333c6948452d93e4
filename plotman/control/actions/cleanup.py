"""Leftover files: find them on the plotters, delete them, list them. Behind `plotman cleanup`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from common.errors import OrderRefused, PlotmanError
from common.model.units import human_bytes, human_duration
from common.names import CLEANUP, LEFTOVERS, Role
from plotman.control.actions.holds import NoSuchPlace
from plotman.control.queries.tables import PlainTable
from plotman.control.rpc import NoAnswer, TaskCall, ask, ask_each, hosts_of, plotters

_LIST_S = 90.0  # thousands of files on busy disks
_DELETE_S = 600.0  # ext4 takes a second or so for each 100 GB
_AT_ONCE = 200  # files in one message
_IDENTITY = ("path", "inode", "mtime_ns", "size_bytes")


@dataclass(frozen=True)
class FoundLeftovers:
    """The answer of one plotter (see plotter_worker.leftovers); error: why there is none."""

    host: str
    leftovers: tuple[dict[str, Any], ...] = ()
    kept: tuple[dict[str, Any], ...] = ()
    troubles: tuple[str, ...] = ()
    error: PlotmanError | None = None

    @property
    def bytes(self) -> int:
        return sum(file["allocated_bytes"] for file in self.leftovers)


@dataclass(frozen=True)
class CleanupResult:
    """Files that a plotter deleted. refused: (path, why) of files that stay. error: why it did not answer."""

    host: str
    deleted: int = 0
    freed_bytes: int = 0
    refused: tuple[tuple[str, str], ...] = ()
    error: PlotmanError | None = None


def find(host: str | None, tmp: str | None, older_s: float | None) -> list[FoundLeftovers]:
    """Find leftovers on one plotter or on all.

    Args:
        host: None: all plotters.
        tmp: only this directory; None: all.
        older_s: only files unchanged for this time; None: the plotter's default.

    Raises:
        NoSuchPlace: no plotter has the directory `tmp`.
        PlotmanError: no plotter gave an answer.
    """
    given = {"tmp": tmp, "older_s": older_s}
    kwargs = {key: value for key, value in given.items() if value is not None}
    hosts = plotters(host)
    answers = ask_each([TaskCall(LEFTOVERS, one, kwargs) for one in hosts], timeout_s=_LIST_S)
    found = [_found(one, answer) for one, answer in zip(hosts, answers, strict=True)]
    if tmp is not None and any(one.error is None for one in found):
        # Plotters without such a directory refuse.
        found = [one for one in found if not isinstance(one.error, OrderRefused)]
    silent = NoAnswer("The plotter is silent, and was not asked.", "Start `plotman up` there.")
    found += [
        FoundLeftovers(one, error=silent) for one in hosts_of(Role.PLOTTER, host)[1] if one not in hosts
    ]
    errors = [one.error for one in found if one.error is not None]
    if not found or len(errors) < len(found):
        return found
    if tmp is not None and all(isinstance(error, OrderRefused) for error in errors):
        raise NoSuchPlace(errors[0].what, " ".join(dict.fromkeys(error.cure for error in errors)))
    # A silent plotter may have the directory that the others lack.
    raise next((error for error in errors if not isinstance(error, OrderRefused)), errors[0])


def _found(host: str, answer: Any) -> FoundLeftovers:
    if isinstance(answer, PlotmanError):
        return FoundLeftovers(host, error=answer)
    return FoundLeftovers(host, tuple(answer["leftovers"]), tuple(answer["kept"]), tuple(answer["troubles"]))


def delete(found: FoundLeftovers, older_s: float | None) -> Iterator[CleanupResult]:
    """Let one plotter delete the files that it listed, in batches, until one fails."""
    extra = {} if older_s is None else {"older_s": older_s}
    for begin in range(0, len(found.leftovers), _AT_ONCE):
        files = found.leftovers[begin : begin + _AT_ONCE]
        listed = [{key: file[key] for key in _IDENTITY} for file in files]
        try:
            answer = ask(CLEANUP, found.host, timeout_s=_DELETE_S, files=listed, **extra)
        except PlotmanError as error:
            yield CleanupResult(found.host, error=error)
            return
        refused = tuple((one["path"], one["reason"]) for one in answer["refused"])
        yield CleanupResult(found.host, len(answer["deleted"]), answer["freed_bytes"], refused)


def leftovers_table(found: Iterable[FoundLeftovers]) -> PlainTable:
    def more(files: list[dict[str, Any]]) -> tuple[str, str]:
        age = human_duration(min(file["age_s"] for file in files))
        return age, ", ".join(sorted({file["owner"] for file in files}))

    rows = [row for one in found for row in _rows(one.host, one.leftovers, more)]
    return PlainTable((*_COLUMNS, "age", "owner"), tuple(rows), right=_RIGHT, paths=_PATHS)


def kept_table(found: Iterable[FoundLeftovers]) -> PlainTable:
    """Unfinished files that stay, with the reason."""

    def more(files: list[dict[str, Any]]) -> tuple[str]:
        return ("; ".join(dict.fromkeys(file["reason"] for file in files)),)

    rows = [row for one in found for row in _rows(one.host, one.kept, more)]
    return PlainTable((*_COLUMNS, "reason"), tuple(rows), "In use", right=_RIGHT, paths=_PATHS)


_COLUMNS = ("host", "directory", "plot", "files", "size")
_RIGHT, _PATHS = frozenset({"files", "size", "age"}), frozenset({"directory"})


def _rows(
    host: str, files: Iterable[dict[str, Any]], more: Callable[[list[dict[str, Any]]], tuple[str, ...]]
) -> Iterator[tuple[str, ...]]:
    """Yield a row for each directory and each plot or program. more: makes its last cells."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for file in files:
        of = file["plot_id"][:8] if file["plot_id"] else f"of {file['program']}"
        groups.setdefault((file["folder"], of), []).append(file)
    for (folder, of), group in groups.items():
        size = human_bytes(sum(file["allocated_bytes"] for file in group))
        yield (host, folder, of, str(len(group)), size, *more(group))


def as_dict(found: Sequence[FoundLeftovers], cleaned: Sequence[CleanupResult] | None) -> dict[str, Any]:
    """`plotman cleanup --json`; cleaned: None for a dry run."""
    return {
        "version": 1,
        "dry_run": cleaned is None,
        "hosts": [
            {
                "host": one.host,
                "bytes": one.bytes,
                "leftovers": list(one.leftovers),
                "kept": list(one.kept),
                "troubles": list(one.troubles),
                **_outcome(one.error, [done for done in cleaned or () if done.host == one.host]),
            }
            for one in found
        ],
    }


def _outcome(error: PlotmanError | None, cleaned: Sequence[CleanupResult]) -> dict[str, Any]:
    error = next(filter(None, (error, *(done.error for done in cleaned))), None)
    refused = [{"path": path, "reason": reason} for done in cleaned for path, reason in done.refused]
    return {
        "error": None if error is None else str(error),
        "deleted": sum(done.deleted for done in cleaned),
        "freed_bytes": sum(done.freed_bytes for done in cleaned),
        "refused": refused,
    }
