"""What a harvester sees of a drive that is evacuated: the next plots, what stays, and the end."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from common.errors import OrderRefused
from common.model.figures import MOST
from common.model.messages import EvacuateOrder
from common.model.pending import MoveStep, PendingMove
from common.model.plot_name import PlotName
from common.model.snapshot import DirState, Evacuating, Event
from common.names import Role
from common.store import Board
from common.system.delivered import DeliveredFile
from common.system.evacuations import orders_file
from common.system.probe import DirReport
from common.worker.publisher import Publisher
from harvester_worker.drives import part_files
from harvester_worker.drives.plot_index import PlotIndex
from harvester_worker.evacuation import evacuator, listing
from harvester_worker.evacuation.evacuator import Evacuator
from harvester_worker.evacuation.orders import KeptOrders
from tests.support.bench import small_drive
from tests.support.waiting import eventually

HERE = "h1"
DIGEST = "0f" * 16


class Seen:
    """A harvester with the drives `old` and `new`, whose evacuations are looked at by hand."""

    def __init__(self, folder: Path, board: Board, farm: Callable[..., Any]) -> None:
        self.board, self.state = board, folder / "state"
        self.old, self.new = folder / "old", folder / "new"
        self.farm = farm(self.old, self.new)
        self.farm.drives.refresh()
        self.delivered = DeliveredFile(self.state)
        self.index = PlotIndex()
        self.ended: list[tuple[str, str]] = []
        self.events: list[Event] = []
        self.begin_anew()

    def begin_anew(self) -> None:
        """As after a restart of the worker."""
        publisher = Publisher(self.board, Role.HARVESTER, lambda: pytest.fail("not published"), "mark")
        publisher.tell = self.events.append  # type: ignore[method-assign]
        publisher.publish_now = lambda: None  # type: ignore[method-assign]
        self.evacuator = Evacuator(
            HERE,
            self.state,
            self.board,
            self.farm.drives,
            self.farm.work,
            self.index,
            KeptOrders(self.state),
            publisher,
            lambda drive, text: self.ended.append((drive, text)),
        )

    def begin(self, **given: Any) -> None:
        self.evacuator.begin(EvacuateOrder(host=HERE, dir=str(self.old), **given))

    def look(self) -> Evacuating | None:
        self.evacuator.look()
        return next(iter(self.evacuator.entries()), None)

    def entry(self) -> Evacuating:
        found = self.look()
        assert found is not None
        return found

    def record(self, plot: Path, **given: Any) -> None:
        known = {
            "path": str(plot),
            "harvester": "h2",
            "size_bytes": 1,
            "step": MoveStep.TRANSFER,
            "expires_at": datetime.now(UTC) + timedelta(minutes=1),
            "move": "m",
        }
        self.board.put_move(HERE, PendingMove(**known | given))


@pytest.fixture
def seen(tmp_path: Path, board: Board, farm: Callable[..., Any]) -> Iterator[Seen]:
    with small_drive(tmp_path / "old", "200m"), small_drive(tmp_path / "new", "60m"):
        yield Seen(tmp_path, board, farm)


def plots(folder: Path, real_plot: Path, count: int) -> list[Path]:
    """Files that a header makes plots: only the name differs, where the size is not known by it."""
    made = []
    for number in range(count):
        plot_id = f"{number:064x}"
        content = b"PoS2" + bytes(2000)
        path = folder / f"plot-k28-{plot_id}.plot2"
        path.write_bytes(content)
        os.utime(path, (0, 0))
        made.append(path)
    return made


def test_whole_plots_leave_and_everything_else_stays_with_its_reason(seen: Seen, real_plot: Path) -> None:
    plot = Path(shutil.copy(real_plot, seen.old))
    name = real_plot.name
    (seen.old / "photos.tar").write_bytes(b"x")
    (seen.old / f"{name[:-69]}{'a' * 64}.plot").write_bytes(real_plot.read_bytes()[:100_000])
    (seen.old / f"{name[:-69]}{'b' * 64}.plot").write_bytes(b"no plot at all, but long enough for a header")
    (seen.old / f"{name[:-69]}{'c' * 64}.plot").symlink_to(plot)
    (seen.old / ".hidden").mkdir()
    seen.begin()
    entry = seen.entry()
    assert [each.path for each in entry.plots] == [str(plot)]
    assert entry.total_plots == 3, "files that are named like plots; links are none"
    assert (entry.left_plots, entry.left_bytes) == (1, plot.stat().st_size)
    stays = dict(line.split(": ", 1) for line in entry.stays)
    assert {key[-70:] for key in stays} == {
        "photos.tar",
        ".hidden",
        *(f"-{digit * 64}.plot"[-70:] for digit in "abc"),
    }
    assert "bytes" in stays[f"{name[:-69]}{'a' * 64}.plot"]
    assert "begins with" in stays[f"{name[:-69]}{'b' * 64}.plot"]
    assert "a link to" in stays[f"{name[:-69]}{'c' * 64}.plot"]
    assert (entry.stays_count, entry.stays_plots) == (5, 3)
    assert (seen.old / ".incoming" / "evacuating").exists()


def test_sparse_files_larger_than_any_drive_keep_no_plot_from_leaving(
    seen: Seen, real_plot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plot = Path(shutil.copy(real_plot, seen.old))
    for digit in "ab":
        odd = seen.old / f"{real_plot.name[:-69]}{digit * 64}.plot"
        odd.write_bytes(b"")
        os.truncate(odd, (1 << 63) - 1)  # the drive is a tmpfs, which takes this size
    seen.begin()
    entry = seen.entry()
    assert [each.path for each in entry.plots] == [str(plot)]
    monkeypatch.setattr(listing, "_HEADERS_MAX", 0)
    seen.begin_anew()
    assert (seen.entry().left_plots, seen.entry().left_bytes) == (3, MOST)


def test_a_plot_with_two_names_stays_under_both(seen: Seen, real_plot: Path) -> None:
    plot = Path(shutil.copy(real_plot, seen.old))
    (seen.old / "second.plot").hardlink_to(plot)
    seen.begin()
    assert seen.look() is None
    assert seen.ended[0][1].count("it has several names") == 2


def test_a_plot_that_is_being_written_leaves_later(seen: Seen, real_plot: Path) -> None:
    plot = Path(shutil.copy(real_plot, seen.old))
    seen.begin()
    with plot.open("rb+"):
        entry = seen.entry()
        assert (entry.plots, entry.left_plots, entry.stays) == ((), 1, ())
    assert len(seen.entry().plots) == 1


def test_a_drive_that_drops_out_is_not_taken_for_an_empty_one(seen: Seen, real_plot: Path) -> None:
    """Its folder may lie on another mounted drive, so that it counts as mounted."""
    plots(seen.old, real_plot, 1)
    seen.begin()
    assert len(seen.entry().plots) == 1
    mark = seen.old / ".incoming" / "evacuating"
    content = mark.read_bytes()
    with small_drive(seen.old, "5m"):
        entry = seen.entry()
        assert (entry.plots, entry.left_plots) == ((), None)
        assert seen.ended == []
        assert not mark.exists(), "nothing is written there"
    assert mark.read_bytes() == content
    assert len(seen.entry().plots) == 1
    mark.unlink()
    assert seen.entry().plots == ()
    seen.begin()
    assert len(seen.entry().plots) == 1, "an operator who orders it again says that this is the drive"


def test_an_order_whose_mark_a_crash_prevented_is_carried_out(seen: Seen, real_plot: Path) -> None:
    plots(seen.old, real_plot, 1)
    KeptOrders(seen.state).add(EvacuateOrder(host=HERE, dir=str(seen.old)), 1, 1)
    seen.begin_anew()
    assert len(seen.entry().plots) == 1
    (seen.old / ".incoming" / "evacuating").unlink()
    assert seen.entry().plots == ()


def test_a_plot_that_cannot_be_read_is_named_and_keeps_the_evacuation_open(
    seen: Seen, real_plot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = Path(shutil.copy(real_plot, seen.old))
    classify = listing.classify

    def failing(path: Path, now: datetime) -> Any:
        if path == bad:
            raise OSError(5, "Input/output error")
        return classify(path, now)

    monkeypatch.setattr(listing, "classify", failing)
    seen.begin()
    entry = seen.entry()
    assert (entry.plots, entry.left_plots) == ((), 1)
    assert entry.stays == (f"{bad.name}: cannot be read: Input/output error",)
    assert seen.ended == []
    monkeypatch.setattr(listing, "_UNREADABLE_AGAIN_S", 0.0)
    monkeypatch.setattr(listing, "classify", classify)
    seen.begin_anew()
    assert len(seen.entry().plots) == 1, "it comes back"


def test_few_headers_are_read_in_one_look_and_few_plots_listed(
    seen: Seen, real_plot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plots(seen.old, real_plot, 7)
    monkeypatch.setattr(listing, "_HEADERS_MAX", 3)
    monkeypatch.setattr(evacuator, "EVACUATING_MAX", 5)
    seen.begin()
    looks = [seen.entry() for _ in range(3)]
    assert [len(entry.plots) for entry in looks] == [3, 5, 5]
    assert {entry.left_plots for entry in looks} == {7}


def test_plots_that_failed_come_last_and_those_that_were_sent_first(seen: Seen, real_plot: Path) -> None:
    first, second, third = plots(seen.old, real_plot, 3)
    seen.begin()
    seen.record(first, attempts=1, reason="EIO", retry_at=datetime.now(UTC) + timedelta(minutes=5))
    seen.delivered.put(str(third), "h2", third.lstat(), DIGEST)
    entry = seen.entry()
    assert [each.path for each in entry.plots] == [str(third), str(second), str(first)]
    assert [each.copied_to for each in entry.plots] == ["h2", None, None]


def test_a_plot_that_another_drive_of_the_machine_has_is_to_be_compared(seen: Seen, real_plot: Path) -> None:
    shutil.copy(real_plot, seen.old)
    shutil.copy(real_plot, seen.new)
    seen.begin()
    assert [each.copied_to for each in seen.entry().plots] == [HERE]


def test_a_file_that_only_has_the_name_of_a_plot_binds_it_to_no_harvester(
    seen: Seen, real_plot: Path
) -> None:
    plot = Path(shutil.copy(real_plot, seen.old))
    name = PlotName.parse(plot.name)
    assert name is not None
    (seen.new / f"plot-k18-2019-01-01-00-00-{name.plot_id}.plot").write_bytes(b"")
    seen.begin()
    assert [plot.copied_to for plot in seen.entry().plots] == [None]


def test_the_drive_under_another_path_is_no_other_drive(
    tmp_path: Path, board: Board, farm: Callable[..., Any], real_plot: Path
) -> None:
    alias = tmp_path / "alias"
    alias.mkdir()
    with small_drive(tmp_path / "old", "60m"), small_drive(tmp_path / "new", "60m"):
        subprocess.run(["mount", "--bind", tmp_path / "old", alias], check=True)
        try:
            seen = Seen(tmp_path, board, lambda *drives: farm(*drives, alias))
            shutil.copy(real_plot, seen.old)
            seen.begin()
            assert [plot.copied_to for plot in seen.entry().plots] == [None]
        finally:
            subprocess.run(["umount", alias], check=True)


def test_it_does_not_end_while_a_plot_still_arrives_there(seen: Seen, real_plot: Path) -> None:
    part_files.prepare(str(seen.old))
    part = part_files.part_path(str(seen.old), f"{1:064x}")
    part.write_bytes(b"x")
    seen.begin()
    assert seen.look() is not None
    os.utime(part, (0, 0))
    assert seen.look() is None, "an abandoned part keeps it no longer"


def test_it_does_not_end_while_a_plot_is_set_aside_whose_name_is_taken(seen: Seen, real_plot: Path) -> None:
    (plot,) = plots(seen.old, real_plot, 1)
    seen.begin()
    plot.rename(seen.old / ".incoming" / f"{plot.name}.leaving")
    plot.mkdir()
    entry = seen.entry()
    assert "set aside" in " ".join(entry.stays)
    plot.rmdir()
    assert len(seen.entry().plots) == 1


def test_a_second_order_tries_what_was_refused_again(seen: Seen, real_plot: Path) -> None:
    refused, good = plots(seen.old, real_plot, 2)
    seen.begin()
    later = datetime.now(UTC) + timedelta(hours=1)
    seen.record(refused, reason="refused: no plot", retry_at=later)
    seen.look()
    assert [each.path for each in seen.entry().plots] == [str(good)]
    seen.begin()
    assert [each.path for each in seen.entry().plots] == [str(refused), str(good)]


def test_a_refused_plot_stays_also_after_the_board_was_wiped(seen: Seen, real_plot: Path) -> None:
    (bad, good) = plots(seen.old, real_plot, 2)
    seen.begin()
    seen.record(bad, reason="refused: bad proofs", retry_at=datetime.now(UTC) + timedelta(days=3650))
    seen.look()
    seen.board.drop_move(HERE, str(bad))
    seen.begin_anew()
    entry = seen.entry()
    assert [each.path for each in entry.plots] == [str(good)]
    assert entry.stays == (f"{bad.name}: refused: bad proofs",)
    good.unlink()
    assert seen.look() is None
    assert seen.ended[0][1].endswith(f"1 file stays: {bad.name}: refused: bad proofs")
    seen.begin()
    assert len(seen.entry().plots) == 1, "a new order tries it again"


def test_a_harvester_that_has_no_copy_is_not_waited_for(seen: Seen, real_plot: Path) -> None:
    (plot,) = plots(seen.old, real_plot, 1)
    seen.begin()
    seen.delivered.put(str(plot), "h2", plot.lstat(), DIGEST)
    seen.record(plot, absent=True, retry_at=datetime.now(UTC))
    seen.look()
    assert seen.delivered.harvester_of(str(plot)) is None


def test_it_ends_when_nothing_is_left_to_move_and_says_what_stays(seen: Seen, real_plot: Path) -> None:
    (plot,) = plots(seen.old, real_plot, 1)
    (seen.old / "photos.tar").write_bytes(b"x")
    seen.begin(by="anna@desk")
    assert seen.look() is not None
    seen.record(plot)
    plot.unlink()
    assert seen.look() is not None, "a task may still work on it"
    seen.board.drop_move(HERE, str(plot))
    assert seen.look() is None
    ((drive, text),) = seen.ended
    assert drive == str(seen.old)
    assert text.startswith(f"{seen.old} was evacuated: 1 plot moved in 0:00:0")
    assert [(event.kind, event.text) for event in seen.events] == [("evacuated", text)]
    assert not orders_file(seen.state).exists()
    assert not (seen.old / ".incoming" / "evacuating").exists()


def test_an_order_survives_a_restart_and_is_not_counted_anew(seen: Seen, real_plot: Path) -> None:
    (first, _) = plots(seen.old, real_plot, 2)
    seen.begin(to=("h2",))
    first.unlink()
    seen.begin_anew()
    entry = seen.entry()
    assert (entry.total_plots, entry.left_plots, entry.to) == (2, 1, ("h2",))
    seen.begin(to=("h3",))
    assert (seen.entry().total_plots, seen.entry().to) == (2, ("h3",))


def test_an_operator_s_end_waits_for_what_is_under_way(
    seen: Seen, real_plot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evacuator, "RENEW_S", -10.0)
    (sending, other) = plots(seen.old, real_plot, 2)
    seen.begin()
    seen.record(sending)
    seen.evacuator.end(str(seen.old))
    assert seen.entry().plots == (), "none begins to leave"
    seen.delivered.put(str(sending), "h2", sending.lstat(), DIGEST)
    seen.board.drop_move(HERE, str(sending))
    assert [each.path for each in seen.entry().plots] == [str(sending)], "it may be on two drives"
    sending.unlink()
    assert seen.look() is None
    assert seen.ended[0][1].startswith(f"the evacuation of {seen.old} was ended: 1 plot moved")
    assert other.exists()


def test_plots_that_came_to_the_drive_from_a_plotter_of_the_machine_were_not_sent_from_it(
    seen: Seen, real_plot: Path
) -> None:
    """One machine, one file of what was sent: it has each plot's way to the drive, too."""
    (plot,) = plots(seen.old, real_plot, 1)
    seen.delivered.put(f"/dst/{plot.name}", HERE, plot.lstat(), DIGEST)
    back = plots(seen.new, real_plot, 2)[1]
    seen.delivered.put(str(seen.old / back.name), "h2", back.lstat(), DIGEST)
    os.utime(shutil.move(back, seen.old), (1, 1))  # it left this drive once, and is there again
    seen.begin()
    assert [each.copied_to for each in seen.entry().plots] == [HERE, None], "the other drive has the first"
    (seen.new / plot.name).unlink()
    assert [each.copied_to for each in seen.entry().plots] == [None, None], "any drive may get them"
    seen.evacuator.end(str(seen.old))
    assert seen.entry().plots == (), "none begins to leave"


def test_a_look_that_began_before_an_operator_s_end_lists_nothing_more(
    seen: Seen, real_plot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plots(seen.old, real_plot, 1)
    seen.begin()
    monkeypatch.setattr(
        seen.evacuator, "_ids_elsewhere", lambda *_: seen.evacuator.end(str(seen.old)) and dict[str, Any]()
    )
    assert seen.entry().plots == ()


def test_an_operator_s_end_does_not_trust_a_board_that_was_just_wiped(seen: Seen, real_plot: Path) -> None:
    plots(seen.old, real_plot, 1)
    seen.begin()
    seen.evacuator.end(str(seen.old))
    assert seen.look() is not None
    assert seen.look() is not None


def test_a_drive_that_is_not_there_waits_until_an_operator_ends_it(
    seen: Seen, real_plot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evacuator, "RENEW_S", -10.0)
    plots(seen.old, real_plot, 1)
    seen.begin()
    monkeypatch.setattr(listing, "look", lambda *_: DirReport(DirState.MISSING))
    entry = seen.entry()
    assert (entry.plots, entry.left_plots) == ((), None)
    seen.evacuator.end(str(seen.old))
    assert seen.look() is None
    assert seen.ended == [(str(seen.old), f"the evacuation of {seen.old} was ended; the drive is missing")]


@pytest.mark.parametrize("why", ["no drive", "read-only"])
def test_a_drive_that_cannot_be_emptied_is_refused(seen: Seen, why: str) -> None:
    if why == "no drive":
        with pytest.raises(OrderRefused, match="is not a drive of h1"):
            seen.evacuator.begin(EvacuateOrder(host=HERE, dir="/elsewhere"))
    else:
        assert os.system(f"mount -o remount,ro {seen.old}") == 0
        with pytest.raises(OrderRefused, match="is read-only: its plots could not be deleted"):
            seen.begin()
    assert not orders_file(seen.state).exists()


def _delivered(seen: Seen, plot: Path, **given: Any) -> None:
    seen.delivered.put(str(plot), "h2", plot.lstat(), DIGEST)
    seen.board.put_ordered(HERE, str(plot), "m", "h2")
    seen.board.put_admitted("h2", HERE, "m", str(plot), DIGEST, evacuates=True)
    seen.record(plot, step=MoveStep.RELEASE, **given)


def test_a_plot_whose_new_harvester_has_it_is_deleted_and_forgotten(seen: Seen, real_plot: Path) -> None:
    (plot, other) = plots(seen.old, real_plot, 2)
    seen.begin()
    seen.look()
    plot_id = plot.stem[-64:]
    seen.index.put(plot_id, str(seen.old))
    _delivered(seen, plot)
    seen.evacuator.release_due()
    assert not plot.exists()
    assert other.exists()
    assert seen.index.drive_of(plot_id) is None
    assert not seen.board.moves([HERE])
    (entry,) = seen.evacuator.entries()
    assert [each.path for each in entry.plots] == [str(other)], "at once, or beat would order it again"


@pytest.mark.parametrize(
    "given",
    [
        {"step": MoveStep.ADMIT},
        {"step": MoveStep.TRANSFER},
        {"retry_at": datetime(2026, 1, 1, tzinfo=UTC)},
        {"expires_at": datetime(2026, 1, 1, tzinfo=UTC)},
    ],
)
def test_only_a_move_that_has_come_to_its_last_step_is_released(
    seen: Seen, real_plot: Path, given: dict[str, Any]
) -> None:
    (plot,) = plots(seen.old, real_plot, 1)
    seen.begin()
    _delivered(seen, plot)
    seen.record(plot, **{"step": MoveStep.RELEASE, **given})
    seen.evacuator.release_due()
    assert plot.exists()


def test_a_release_that_fails_is_tried_again_with_its_reason(seen: Seen, real_plot: Path) -> None:
    (plot,) = plots(seen.old, real_plot, 1)
    seen.begin()
    seen.record(plot, step=MoveStep.RELEASE)
    seen.evacuator.release_due()
    (record,) = seen.board.moves([HERE])[HERE]
    assert "No beat has ordered" in (record.reason or "")
    assert record.retry_at is not None
    assert plot.exists()


def test_a_plot_that_an_end_by_force_left_aside_has_its_name_again_after_a_restart(
    seen: Seen, real_plot: Path
) -> None:
    (plot,) = plots(seen.new, real_plot, 1)
    (incoming := seen.new / ".incoming").mkdir(exist_ok=True)
    plot.rename(incoming / f"{plot.name}.leaving")
    seen.begin_anew()
    seen.evacuator.start()
    eventually(plot.exists, "it has its name", 20)
    seen.evacuator.stop()
