"""One move to a target: its folder, the options that rsync accepts, and when the content is compared."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.errors import OrderRefused, TransferFailed
from common.model.messages import Admission
from common.model.snapshot import TargetReport, TargetSpace, Transfer
from common.worker.move_step import StepInterrupted, Stop, never
from plotter_worker.archiving.targets import copies, mover, rsync
from plotter_worker.archiving.targets.definition import ArchiveTarget
from plotter_worker.archiving.targets.mover import ArchiverContext, Mover
from plotter_worker.archiving.targets.rsync import COMPARE, FLUSH, SEND
from plotter_worker.archiving.targets.space import SpaceAnswer
from plotter_worker.archiving.targets.transfer_script import Ended
from plotter_worker.archiving.transfer.progress import TransferProgress
from tests.support.plots import write_plot

SIZE, ROOM = 50_000, 10**9


class Site:
    """A mover whose transfer script is a function of the test: it stands for rsync, and copies the plot."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch
        self.dst = folder / "dst"
        self.dst.mkdir()
        self.plot = write_plot(self.dst, SIZE)
        self.free = {self.farm(name): ROOM for name in ("a", "b")}
        self.foreign: str | None = None
        self.refused: list[str] = []  # options that this rsync does not know
        self.runs: list[str] = []  # options of each run
        self.events: list[Any] = []
        self.compared: list[str] = []
        self.deletes_source = False
        monkeypatch.setattr(mover, "Script", self._script)
        monkeypatch.setattr(copies, "compare_content", self._compare)

    def farm(self, name: str) -> str:
        (self.folder / "farm" / name).mkdir(parents=True, exist_ok=True)
        return str(self.folder / "farm" / name)

    def _compare(self, target: ArchiveTarget, source: Path, copy: str, *_: Any) -> str:
        self.compared.append(copy)
        return ", compared"

    def _script(self, program: Path, environment: dict[str, str], log_dir: Path, owner: str) -> Any:
        site = self

        class Script:
            def run(self, report: Callable[[TransferProgress], None], stop: Stop) -> Ended:
                site.runs.append(environment["options"])
                site.events.append("run")
                for option in site.refused:
                    if option in environment["options"].split():
                        return Ended(1, (f"rsync: {option}: unknown option",), log_dir, 1)
                shutil.copy(environment["source"], environment["destination"])
                report(TransferProgress(SIZE, 100, 1.0, None))
                if site.deletes_source:
                    Path(environment["source"]).unlink()
                return Ended(0, (), log_dir, 1)

        return Script()

    @property
    def report(self) -> TargetReport:
        spaces = tuple(TargetSpace(path=path, free_bytes=free) for path, free in self.free.items())
        return TargetReport(name="t", place="p", spaces=spaces)

    def ask(self) -> SpaceAnswer:
        return SpaceAnswer(self.report.spaces, ())

    def find_running(self) -> str | None:
        return self.foreign

    def _show(self, transfer: Transfer | None, path: str) -> None:
        self.events.append((transfer.drive, transfer.sent_bytes) if transfer else f"end of {path}")

    def mover(self, ours: str | None = rsync.LOCAL, index: int = 0, options: str = "-a") -> Mover:
        env = {"command": "rsync", "options": options, "user": "u", "host": "h", "rsync_port": "1"}
        target = ArchiveTarget(
            name="t",
            ours=ours,
            env={**env, "site": "plots", "site_root": "/"},
            index=index,
            space=Path("/s"),
            transfer=Path("/t"),
            process_name="rsync",
            argument_prefix="/",
            place="p",
        )
        context = ArchiverContext(
            "p1", "us", (str(self.dst),), self.folder, self._show, lambda: self.events.append("publish")
        )
        self.monkeypatch.setattr(rsync, "listed_bytes", lambda *about: self._listed(about[-1]))
        return Mover(target, self, context)  # type: ignore[arg-type]

    def _listed(self, url: str) -> int | None:
        path = Path(url.removeprefix("rsync://u@h:1/plots"))
        return path.stat().st_size if path.exists() else None

    def move(self, made: Mover, **coming: int) -> Admission:
        there = {self.farm(name): size_bytes for name, size_bytes in coming.items()}
        return made.move(str(self.plot), SIZE, lambda _: None, never, there)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(tmp_path, monkeypatch)


def checks(site: Site) -> list[str]:
    """What each run had to compare or send, and whether it had to flush."""
    return [
        " ".join(word for word in options.split() if word in (COMPARE, SEND, FLUSH)) for options in site.runs
    ]


@pytest.mark.parametrize(
    ("ours", "there", "refused", "ran", "compared"),
    [
        (rsync.LOCAL, False, [], [SEND], False),
        (rsync.LOCAL, True, [], [COMPARE], False),
        (rsync.LOCAL, True, [COMPARE], [COMPARE, SEND], False),
        (rsync.LOCAL, True, [COMPARE, SEND], [COMPARE, SEND, ""], True),
        (rsync.LOCAL, False, [SEND], [SEND, ""], False),
        (rsync.DAEMON, False, [FLUSH], [f"{SEND} {FLUSH}", SEND], False),
        (
            rsync.DAEMON,
            True,
            [COMPARE, SEND, FLUSH],
            [f"{COMPARE} {FLUSH}", f"{SEND} {FLUSH}", FLUSH, ""],
            True,
        ),
        (None, False, [], [""], False),
        (None, True, [], [""], True),
    ],
)
def test_rsync_runs_again_without_what_it_refuses_and_the_content_is_compared_if_it_did_not(
    site: Site, ours: str | None, there: bool, refused: list[str], ran: list[str], compared: bool
) -> None:
    if there:
        shutil.copy(site.plot, site.farm("b"))
    site.refused = refused
    made = site.mover(ours)
    done = site.move(made)
    assert checks(site) == ran
    assert bool(site.compared) == compared
    assert done.verified.endswith(", compared") == compared
    assert done.reservation.drive == site.farm("b" if there else "a")
    assert made._flushes == (FLUSH not in refused)
    assert site.runs[-1].endswith("-a")


@pytest.mark.parametrize(("option", "runs"), [(COMPARE, 1), (SEND, 2), (FLUSH, 2)])
def test_an_option_of_the_user_that_rsync_refuses_ends_the_transfer(
    site: Site, option: str, runs: int
) -> None:
    site.refused = [option]
    with pytest.raises(TransferFailed, match="unknown option"):
        site.move(site.mover(rsync.DAEMON, options=f"-a {option}"))
    assert len(site.runs) == runs


def test_a_failure_that_names_no_option_is_not_tried_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rsync, "refuses", lambda *_: False)
    site.refused = [SEND]
    with pytest.raises(TransferFailed, match="unknown option"):
        site.move(site.mover())
    assert len(site.runs) == 1


def test_a_folder_that_was_not_readable_may_have_had_a_copy(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "existing_copies", lambda *_: ({}, False))
    site.refused = [SEND]
    site.move(site.mover())
    assert len(site.compared) == 1


def test_a_script_that_deletes_the_source_leaves_nothing_to_compare(site: Site) -> None:
    shutil.copy(site.plot, site.farm("b"))
    site.deletes_source = True
    assert site.move(site.mover(None)).verified == "the script deleted the source"
    assert site.compared == []


def test_the_folder_with_a_copy_is_preferred_to_the_one_at_the_index(site: Site) -> None:
    made = site.mover()
    assert site.move(made).reservation.drive == site.farm("a")
    assert site.move(site.mover(index=1)).reservation.drive == site.farm("a"), "it has the whole plot"
    half = Path(site.farm("b"), site.plot.name)
    Path(site.farm("a"), site.plot.name).unlink()
    half.write_bytes(b"half")
    assert site.move(made).reservation.drive == site.farm("b"), "it is replaced"
    half.write_bytes(b"half")
    site.free[site.farm("b")] = SIZE - 1
    assert site.move(made).reservation.drive == site.farm("a"), "there is no room for the rest"
    Path(site.farm("a"), site.plot.name).unlink()
    with pytest.raises(TransferFailed, match="plot needs"):
        site.move(made, a=ROOM)


def test_beat_counts_a_transfer_from_before_its_first_byte_to_its_end(site: Site) -> None:
    made, farm = site.mover(), site.farm("a")
    site.move(made)
    assert site.events == [(farm, 0), "publish", "run", (farm, SIZE), f"end of {site.plot}"]
    site.events.clear()
    site.free.clear()
    for _ in range(2):  # the first has made way for the second
        with pytest.raises(TransferFailed):
            site.move(made)
        assert site.events.pop() == f"end of {site.plot}"
    site.foreign = "rsync (pid 1)"
    with pytest.raises(StepInterrupted):
        site.move(made)
    assert site.events == ["publish", f"end of {site.plot}"]
    assert not made.sends(str(site.plot))
    with pytest.raises(OrderRefused):
        made.move("/etc/passwd", None, lambda _: None, never)
