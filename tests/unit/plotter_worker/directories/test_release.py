"""When the source of a plot is deleted, and when it is kept."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import OrderRefused
from common.model.messages import Admission
from common.system.delivered import DeliveredFile
from plotter_worker.directories.release import lies_in, own_plot, plot_dirs, release
from tests.support.plots import write_plot
from tests.unit.common.config.test_reload import settings
from tests.unit.plotter_worker.builders import admission

GONE = Path("/nowhere/x.plot")


def sent_there(path: str, receiver: str, status: os.stat_result) -> bool:
    return True


@pytest.fixture
def dst(tmp_path: Path) -> Path:
    folder = tmp_path / "dst"
    folder.mkdir()
    return folder


@pytest.fixture
def source(dst: Path) -> Path:
    return write_plot(dst)


def kept(
    source: Path, admitted: Admission, dirs: list[str], reason: str, has: Callable[..., bool] = sent_there
) -> None:
    with pytest.raises(OrderRefused, match=reason):
        release(admitted, dirs, has)
    assert source.exists()


def test_the_source_of_an_admitted_plot_is_deleted_once(source: Path, dst: Path) -> None:
    admitted = admission(source, GONE)
    assert release(admitted, [str(dst)], sent_there)
    assert not source.exists()
    assert not release(admitted, [str(dst)], sent_there)


def test_the_deletion_survives_a_power_cut(source: Path, dst: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda fd: flushed.append(Path(f"/proc/self/fd/{fd}").readlink()))
    release(admission(source, GONE), [str(dst)], sent_there)
    assert flushed == [dst]
    assert str(dst) not in map(os.path.realpath, Path("/proc/self/fd").iterdir()), "it is closed again"


def test_a_source_of_another_size_is_kept(source: Path, dst: Path) -> None:
    admitted = admission(source, GONE)
    reserved = admitted.reservation.model_copy(update={"size_bytes": 1})
    for wrong in (
        admitted.model_copy(update={"size_bytes": 1}),
        admitted.model_copy(update={"reservation": reserved}),
        admitted.model_copy(update={"size_bytes": 1, "reservation": reserved}),
    ):
        kept(source, wrong, [str(dst)], "bytes, but .* were admitted")


def test_a_source_that_this_host_did_not_send_there_as_it_is_now_is_kept(
    source: Path, dst: Path, tmp_path: Path
) -> None:
    delivered = DeliveredFile(tmp_path / "state")
    admitted = admission(source, GONE)
    sent = source.lstat()
    kept(source, admitted, [str(dst)], "was not sent to h1 from here", delivered.has)
    delivered.put(str(source), "h2", sent)
    kept(source, admitted, [str(dst)], "was not sent to h1 from here", delivered.has)
    delivered.put(str(source), "h1", sent)
    os.utime(source, ns=(0, sent.st_mtime_ns - 1))
    kept(source, admitted, [str(dst)], "was not sent to h1 from here", delivered.has)
    os.utime(source, ns=(0, sent.st_mtime_ns))
    assert release(admitted, [str(dst)], delivered.has)


def test_the_receiver_is_asked_for_exactly_this_file(source: Path, dst: Path) -> None:
    asked = []
    status = source.lstat()
    assert release(
        admission(source, GONE), [str(dst)], lambda *arguments: bool(asked.append(arguments)) or True
    )
    assert asked == [(str(source), "h1", status)]


def test_a_link_is_kept(tmp_path: Path, source: Path, dst: Path) -> None:
    target = tmp_path / "target"
    source.rename(target)
    source.symlink_to(target)
    size_bytes = source.lstat().st_size
    admitted = admission(source, GONE)
    reserved = admitted.reservation.model_copy(update={"size_bytes": size_bytes})
    changed = admitted.model_copy(update={"size_bytes": size_bytes, "reservation": reserved})
    kept(source, changed, [str(dst)], "is the plot that is farmed")
    assert target.exists()


def test_a_plot_beside_a_harvesters_own_folder_is_kept(source: Path, dst: Path) -> None:
    (dst / ".incoming").mkdir()
    kept(source, admission(source, GONE), [str(dst)], "is the plot that is farmed")


def test_the_farmed_file_under_another_path_of_this_machine_is_kept(
    tmp_path: Path, source: Path, dst: Path
) -> None:
    landed = tmp_path / "drive.plot"
    landed.hardlink_to(source)
    kept(source, admission(source, landed, host="p1"), [str(dst)], "is the plot that is farmed")
    # The same path on another machine names another file.
    assert release(admission(source, landed, host="h1"), [str(dst)], sent_there)


def test_another_file_of_this_machine_keeps_no_source(tmp_path: Path, source: Path, dst: Path) -> None:
    copy = tmp_path / "drive.plot"
    copy.write_bytes(source.read_bytes())
    assert release(admission(source, copy, host="p1"), [str(dst)], sent_there)
    assert copy.exists()


def test_a_plot_that_has_left_its_drive_of_this_machine_keeps_no_source(source: Path, dst: Path) -> None:
    assert release(admission(source, GONE, host="p1"), [str(dst)], sent_there)


def test_only_plots_directly_in_our_directories_are_touched(tmp_path: Path, source: Path, dst: Path) -> None:
    other = dst / "notes.txt"
    other.write_bytes(b"x")
    kept(other, admission(other, GONE), [str(dst)], "is not named like a finished plot")
    kept(source, admission(source, GONE), [str(tmp_path)], "is not in a tmp or dst directory")
    kept(source, admission(source, GONE), [], "is not in a tmp or dst directory")
    link = tmp_path / "link"
    link.symlink_to(dst)
    assert own_plot(str(link / source.name), [str(dst)]) == source, "no link that may lead elsewhere later"
    with pytest.raises(OrderRefused, match="is not in a tmp or dst directory"):
        own_plot(f"{dst}/../elsewhere/{source.name}", [str(dst)])


def test_plots_may_be_touched_in_all_configured_directories() -> None:
    config = settings(directories={"tmp": ["/t1"], "tmp2": "/t2", "dst": ["/d1", "/d2", "/d1"]})
    assert sorted(plot_dirs(config)) == ["/d1", "/d2", "/t1", "/t2"]
    assert plot_dirs(settings(directories=None, scheduling=None, plotting=None, archiving=None)) == ()


def test_whether_a_path_lies_in_a_directory_is_seen_by_its_text_alone() -> None:
    dirs = ("/nowhere/dst/", "/nowhere/tmp")
    assert lies_in("/nowhere/dst/x.plot", dirs)
    assert lies_in("/nowhere/tmp/x.plot", dirs)
    for path in ("/nowhere/dst/deeper/x.plot", "/nowhere/x.plot", "/nowhere/dst/../x.plot", "x.plot"):
        assert not lies_in(path, dirs)
