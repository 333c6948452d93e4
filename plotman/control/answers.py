"""The forms of what hosts answer. Every worker's Redis user may put anything in an answer's place."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from common import names
from common.history.pages import MOST_ROWS
from common.model.bounds import MOST_VALUES, Bounded, Several, bounded_message
from common.model.figures import MANY, Whole
from common.model.inventory import MOST_KEYS, DriveRow, FarmedRow, FileRow, Key, SumRow
from common.model.inventory import MOST_ROWS as MOST_INVENTORY_ROWS
from common.model.messages import VERSION, Count, PlotsFound, SeenFile, SizeBytes
from common.model.snapshot import Job

# Of a file with the oldest time that a file system can have, and more.
_AgeS = Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)]


class _Form(Bounded):
    """Keys of a newer release are ignored."""

    model_config = ConfigDict(extra="ignore")


class _Lifted(_Form):
    answer: str
    lifted: Several[str]
    drained: Several[str]


class _Process(_Form):
    pid: Whole
    name: str


class _Details(Job):
    host: str
    argv: Several[str]
    user: str | None = None
    processes: Several[_Process]
    files: Count
    files_bytes: SizeBytes


class _OfPlot(_Form):
    """About one plot on its host."""

    host: str
    plot_id: str | None
    task_id: str
    pid: Whole


class _Made(_Form):
    plot_id: str | None
    path: str | None
    reason: str | None = None


class _RunState(_OfPlot):
    status: str


class _OwnFile(_Form):
    path: str
    size_bytes: SizeBytes
    allocated_bytes: SizeBytes


class _Files(_OfPlot):
    ours: bool
    files: Several[_OwnFile]
    finished: Several[str]
    troubles: Several[str]


class _Killed(_OfPlot):
    freed_bytes: SizeBytes
    deleted: Count
    finished: Several[str]
    left: Several[str]


class _LogPiece(_Form):
    host: str
    plot_id: str | None
    text: str
    offset_bytes: SizeBytes
    ended: bool


class _Leftover(SeenFile):
    model_config = ConfigDict(extra="ignore")

    folder: str
    allocated_bytes: SizeBytes
    owner: str
    plot_id: str | None
    program: str | None
    age_s: _AgeS


class _Kept(_Leftover):
    reason: str


class _Leftovers(_Form):
    leftovers: Several[_Leftover]
    kept: Several[_Kept]
    troubles: Several[str]


class _Refused(_Form):
    path: str
    reason: str


class _Cleaned(_Form):
    deleted: Several[str]
    freed_bytes: SizeBytes
    refused: Several[_Refused]


class _Row(_Form):
    """The place of a row; its reader checks the rest, and leaves out rows that it does not know."""

    model_config = ConfigDict(extra="allow")

    key: str
    ended_at: str


class _Page(_Form):
    host: str
    rows: Annotated[list[_Row], Field(max_length=MOST_ROWS)]
    next: str | None


class _PlotsFound(PlotsFound):
    model_config = ConfigDict(extra="ignore")

    version: Annotated[int, Field(le=VERSION)] = VERSION


class _Inventory(_Form):
    host: str
    drives: Annotated[tuple[DriveRow, ...], MANY] = ()
    duplicates: Count = 0
    sums: Annotated[tuple[SumRow, ...], Field(max_length=MOST_INVENTORY_ROWS, fail_fast=True)] = ()
    files: Annotated[tuple[FileRow, ...], Field(max_length=MOST_INVENTORY_ROWS, fail_fast=True)] = ()
    farmed: Annotated[tuple[FarmedRow, ...], MANY] = ()
    keys: Annotated[tuple[Key, ...], Field(max_length=MOST_KEYS, fail_fast=True)] = ()
    next: str | None = None


# A sentence for operators, which begins with the name of its host.
_SENTENCES = frozenset(
    {names.PAUSE, names.UNPAUSE, names.DRAIN, names.DRAIN_DRIVES, names.BANDWIDTH, names.RESEND}
    | {names.EVACUATE, names.STOP_EVACUATION}
    | {names.REPLOT, names.PAUSE_REPLOT, names.RESUME_REPLOT, names.STOP_REPLOT}
)
_FORMS: dict[str, type[BaseModel]] = {
    names.UNDRAIN: _Lifted,
    names.UNDRAIN_DRIVES: _Lifted,
    names.PLOT: _Made,
    names.DETAILS: _Details,
    names.FILES: _Files,
    names.SUSPEND: _RunState,
    names.RESUME: _RunState,
    names.KILL: _Killed,
    names.LOG: _LogPiece,
    names.LEFTOVERS: _Leftovers,
    names.CLEANUP: _Cleaned,
    names.PLOTTER_HISTORY: _Page,
    names.HARVESTER_HISTORY: _Page,
    names.FIND_PLOTS: _PlotsFound,
    names.INVENTORY: _Inventory,
}


def checked(task: str, host: str, answer: Any) -> Any:
    """Check the form of an answer.

    Args:
        task: that was called; the answers of tasks that no verb calls are not checked.
        host: that was called.
        answer: in JSON's types.

    Returns:
        The answer, with the defaults of fields that an older plotman does not know.

    Raises:
        ValueError: it has another form, or is of another host.
    """
    if task in _SENTENCES:
        return _sentence(host, answer)
    if task not in _FORMS:
        return answer
    found = (
        _FORMS[task]
        .model_validate_json(bounded_message(answer, MOST_VALUES), strict=True)
        .model_dump(mode="json")
    )
    if found.get("host", host) != host:
        raise ValueError("an answer of another host")
    if "answer" in found:
        _sentence(host, found["answer"])
    return {**answer, **found}


def _sentence(host: str, text: Any) -> str:
    if not isinstance(text, str) or not text.startswith((f"{host} ", f"{host}: ")):
        raise ValueError("no sentence of this host")
    return text
