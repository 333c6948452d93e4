"""Which bandwidth holds for a transfer, and why it failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from common.config.model import Config
from common.errors import TicketRefused, TransferFailed
from common.model.messages import Reservation
from common.system import statefile
from common.worker.move_step import never
from plotter_worker.archiving.transfer import sender as sender_module
from plotter_worker.archiving.transfer.rsync import Sent
from plotter_worker.archiving.transfer.sender import Sender
from plotter_worker.archiving.transfer.transport import RsyncArguments, SameMachine, SendTransport
from plotter_worker.state.operator import OperatorState, operator_state_path
from tests.support.sections import SCHEDULING

PLOT_ID = "ab" * 32
SOURCE = Path(f"/dst/plot-k32-2026-11-22-15-48-{PLOT_ID}.plot")
RESERVATION = Reservation(
    host="h1",
    source_host="p1",
    path=str(SOURCE),
    size_bytes=7,
    drive="/farm/1",
    part=f"/farm/1/.incoming/{PLOT_ID}.part",
)


def settings(folder: Path, **archiving: Any) -> Config:
    return Config.model_validate(
        {
            "version": [2],
            "farm": {"host": "p1", "state": str(folder)},
            "directories": {"tmp": ["/tmp/1"]},
            "scheduling": SCHEDULING,
            "plotting": {"farmer_pk": "a", "pool_pk": "b"},
            "archiving": archiving,
        }
    )


class Way(SendTransport):
    """A transport that is ready at once."""

    def __init__(self, paced: bool, why: str | None = None) -> None:
        self.paced, self.why = paced, why
        self.checked = False

    def check(self) -> None:
        self.checked = True

    @contextmanager
    def opened(self) -> Iterator[RsyncArguments]:
        assert self.checked
        yield RsyncArguments("target", ("--existing",), {"A": "b"})

    def explanation(self) -> str | None:
        return self.why


class Runs:
    """Stands for rsync. Notes what it is given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, way: SendTransport) -> None:
        self.argv: list[str] = []
        self.paced: list[tuple[str, int]] = []
        self.error: Exception | None = None
        monkeypatch.setattr(sender_module, "transport_to", lambda *_: way)
        monkeypatch.setattr(sender_module, "run", self._run)

    def _run(
        self, argv: list[str], report: Any, stop: Any, owner: str, started: Callable[[int], None], *rest: Any
    ) -> Sent:
        self.argv, self.owner, self.environment = argv, owner, rest[0]
        started(4711)
        if self.error is not None:
            raise self.error
        return Sent("aa", 7, 1.0)

    def watch(self, sender: Sender, monkeypatch: pytest.MonkeyPatch, live: bool) -> None:
        sender.bandwidth.live = live
        for name in ("add", "remove"):
            monkeypatch.setattr(sender.bandwidth, name, lambda pid, name=name: self.paced.append((name, pid)))


@pytest.mark.parametrize(
    ("paced", "live", "limited", "added"),
    [
        pytest.param(True, True, False, True, id="the kernel paces its sockets"),
        pytest.param(True, False, True, False, id="the kernel cannot"),
        pytest.param(False, True, True, False, id="ssh has the connection"),
    ],
)
def test_the_bandwidth_is_limited_in_one_way(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    paced: bool,
    live: bool,
    limited: bool,
    added: bool,
) -> None:
    runs = Runs(monkeypatch, Way(paced))
    sender = Sender(settings(tmp_path, bwlimit_bytes_s=102400), None)  # type: ignore[arg-type]
    runs.watch(sender, monkeypatch, live)
    assert sender.send(SOURCE, RESERVATION, lambda _: None, never).digest == "aa"
    assert runs.argv[-2:] == [str(SOURCE), "target"]
    assert ("--bwlimit=100" in runs.argv) == limited
    assert "--existing" in runs.argv
    assert (runs.owner, runs.environment) == (str(tmp_path), {"A": "b"})
    assert runs.paced == ([("add", 4711)] if added else []) + [("remove", 4711)]


@pytest.mark.parametrize("over_network", [True, False], ids=["a mounted drive", "a drive of this machine"])
def test_a_copy_has_its_share_of_the_limit_only_over_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, over_network: bool
) -> None:
    limits: list[float | None] = []

    def copies(source: Path, part: Path, report: Any, stop: Any, *rates: Callable[[], Any]) -> Sent:
        assert (source, part, stop) == (SOURCE, Path("/part"), never)
        limits.extend(rate() for rate in rates)
        with sender.bandwidth.copying():
            limits.extend(rate() for rate in rates)
        return Sent("aa", 7, 1.0)

    monkeypatch.setattr(sender_module, "transport_to", lambda *_: SameMachine(Path("/part"), over_network))
    monkeypatch.setattr(sender_module, "copy", copies)
    sender = Sender(settings(tmp_path, bwlimit_bytes_s=102400), None)  # type: ignore[arg-type]
    assert sender.send(SOURCE, RESERVATION, lambda _: None, never).digest == "aa"
    assert limits == ([102400, 51200, 51200, 25600] if over_network else [])
    assert sender.bandwidth.share_bytes_s() == 102400


def test_a_failure_that_the_harvester_explains_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = Way(True)
    runs = Runs(monkeypatch, way)
    runs.error = TransferFailed("the connection broke.", "It resumes.")
    sender = Sender(settings(tmp_path), None)  # type: ignore[arg-type]
    runs.watch(sender, monkeypatch, live=True)
    with pytest.raises(TransferFailed, match="the connection broke"):
        sender.send(SOURCE, RESERVATION, lambda _: None, never)
    way.why = "/farm/1 failed: no space"
    with pytest.raises(TransferFailed, match=r"^/farm/1 failed: no space\. The plot goes to another drive"):
        sender.send(SOURCE, RESERVATION, lambda _: None, never)
    assert runs.paced == [("add", 4711), ("remove", 4711)] * 2


def test_a_ticket_that_cannot_be_read_is_the_harvesters_failure(tmp_path: Path) -> None:
    class Refusing:
        def ticket(self, host: str, plotter: str, plot_id: str) -> None:
            assert (host, plotter, plot_id) == ("h1", "p1", PLOT_ID)
            raise TicketRefused("its ticket is not for this plot.", "Install the same version.")

    sender = Sender(settings(tmp_path), Refusing())  # type: ignore[arg-type]
    with pytest.raises(TransferFailed, match=r"^Harvester h1: its ticket is not for this plot"):
        sender.send(SOURCE, RESERVATION, lambda _: None, never)


def test_the_operators_limit_replaces_the_one_of_plotman_yaml(tmp_path: Path) -> None:
    sender = Sender(settings(tmp_path, bwlimit_bytes_s=5000), None)  # type: ignore[arg-type]
    assert sender.limit_bytes_s() == 5000
    for ordered, limit in ((7000, 7000), (0, None), (None, 5000)):
        statefile.write(operator_state_path(tmp_path), OperatorState().with_bandwidth(ordered))
        assert sender.limit_bytes_s() == limit
    operator_state_path(tmp_path).write_text("damaged")
    assert sender.limit_bytes_s() == 5000
    sender.reload(settings(tmp_path, routes={"h1": {"ssh": "chia@h1"}}))
    assert sender.limit_bytes_s() is None
    assert sender.routed == ("h1",)
