"""Which copies at a target prove that the source may be deleted."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from common.errors import TransferFailed
from common.model.messages import Reservation
from common.worker.move_step import never
from plotter_worker.archiving.targets import copies, rsync
from plotter_worker.archiving.targets.definition import ArchiveTarget
from plotter_worker.archiving.targets.transfer_script import Ended
from tests.support.plots import write_plot

SIZE = 50_000
SCRIPT = None  # `ours` of a target of the user's own scripts


def target(ours: str | None = rsync.LOCAL, **env: str) -> ArchiveTarget:
    given = {"command": "/no/such/rsync", "user": "u", "host": "127.0.0.1", "rsync_port": "1", "options": ""}
    return ArchiveTarget(
        name="t",
        ours=ours,
        env={**given, "site": "plots", "site_root": "/farm", **env},
        index=0,
        space=Path("/space"),
        transfer=Path("/transfer"),
        process_name="rsync",
        argument_prefix="/farm",
        place="p",
    )


class Site:
    """A source and a folder of the target."""

    def __init__(self, folder: Path) -> None:
        self.farm, dst = folder / "farm", folder / "dst"
        for path in (self.farm, dst):
            path.mkdir()
        self.source = write_plot(dst, SIZE)

    @property
    def copy(self) -> Path:
        return self.farm / self.source.name

    def copied(self, folder: str = "") -> Path:
        (self.farm / folder).mkdir(exist_ok=True)
        return Path(shutil.copy(self.source, self.farm / folder))

    def check(
        self, ours: str | None = rsync.LOCAL, device: int | None = None, listed: bool = True, **env: str
    ) -> tuple[str, str]:
        reservation = Reservation(
            host="t", source_host="p1", path=str(self.source), size_bytes=SIZE, drive=str(self.farm)
        )
        folders = [str(self.farm)] if listed else []
        return copies.complete_copy(target(ours, **env), self.source, reservation, folders, device)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_whole_copy_is_flushed_before_it_counts(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed = []
    monkeypatch.setattr(copies, "_flush", lambda path, flags: flushed.append(path))
    copy = site.copied()
    assert site.check(device=copy.stat().st_dev) == (str(copy), "size and header, on its drive")
    assert flushed == [copy, site.farm]


def test_a_flush_that_fails_is_a_failure(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(handle: int) -> None:
        raise OSError(5, "Input/output error")

    site.copied()
    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(TransferFailed, match=r"cannot be read \(Input/output error\)"):
        site.check()


def shorten(site: Site) -> None:
    os.truncate(site.copied(), SIZE - 1)


def link(site: Site) -> None:
    site.copy.symlink_to(site.source)


def hard_link(site: Site) -> None:
    site.copy.hardlink_to(site.source)


def link_to_a_copy(site: Site) -> None:
    site.copy.symlink_to(site.copied("elsewhere"))


def other_header(site: Site) -> None:
    other = write_plot(site.source.parent, SIZE)
    other.replace(site.copy)


def no_header(site: Site) -> None:
    site.copy.write_bytes(bytes(SIZE))


def only_the_header(site: Site) -> None:
    """As a drive leaves it that lost power, or a program that reserves all room first."""
    site.copy.write_bytes(site.source.read_bytes()[:200] + bytes(SIZE - 200))


def nothing(site: Site) -> None:
    return


@pytest.mark.parametrize(
    ("left", "message"),
    [
        (shorten, f"has {SIZE - 1} of {SIZE} bytes"),
        (link, "the source itself or a link"),
        (hard_link, "the source itself or a link"),
        (link_to_a_copy, "the source itself or a link"),
        (other_header, "has another header than"),
        (no_header, "is no plot: it begins"),
        (only_the_header, r"is not whole: zeros at byte \d+"),
        (nothing, "has no copy"),
    ],
)
@pytest.mark.parametrize("ours", [rsync.LOCAL, SCRIPT])
def test_what_is_no_whole_copy_keeps_the_source(
    site: Site, left: Any, message: str, ours: str | None
) -> None:
    left(site)
    with pytest.raises(TransferFailed, match=message):
        site.check(ours)


def test_a_copy_on_another_drive_than_the_chosen_one_keeps_the_source(site: Site) -> None:
    """The drive was unmounted: the copy lies in the folder below."""
    device = site.copied().stat().st_dev
    with pytest.raises(TransferFailed, match="is on another drive"):
        site.check(device=device + 1)
    with pytest.raises(TransferFailed, match="no longer a folder of the target"):
        site.check(listed=False)
    assert site.check(SCRIPT, listed=False)[0] == str(site.copy), "scripts of users list as they like"


@pytest.mark.parametrize("ours", [rsync.LOCAL, rsync.DAEMON, SCRIPT])
def test_a_script_that_deleted_the_source_vouches_for_the_copy(site: Site, ours: str | None) -> None:
    name = site.source.name
    site.source.unlink()
    assert site.check(ours) == (f"{site.farm}/{name}", "the script deleted the source")


@pytest.mark.parametrize("listed", [None, 0, SIZE - 1, SIZE + 1])
def test_a_copy_at_a_daemon_must_have_the_size(
    site: Site, listed: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = [listed, SIZE]
    monkeypatch.setattr(rsync, "listed_bytes", lambda *_: sizes.pop(0))
    with pytest.raises(TransferFailed, match=f"has {listed or 0} of {SIZE} bytes"):
        site.check(rsync.DAEMON)
    copy, verified = site.check(rsync.DAEMON)
    assert copy == f"rsync://u@127.0.0.1:1/plots{site.farm}/{site.source.name}"
    assert verified == "rsync's checksum of what was sent, and the size there"


def test_a_daemon_that_lists_nothing_leaves_rsyncs_exit_as_the_proof(site: Site) -> None:
    assert site.check(rsync.DAEMON)[1] == "rsync's checksum of what was sent"


def test_files_of_the_plots_name_are_found_where_the_target_puts_them(site: Site) -> None:
    def found(made: ArchiveTarget) -> tuple[dict[str, int], bool]:
        return copies.existing_copies(made, [str(site.farm), "/no/such/folder"], site.source.name)

    assert found(target()) == ({}, True)
    copy = site.copied("sub")
    assert found(target()) == ({}, True), "ours never writes there"
    assert found(target(path_suffix="sub")) == ({str(site.farm): SIZE}, True)
    assert found(target(SCRIPT)) == ({str(site.farm): SIZE}, True), "a script may use any subfolder"
    os.truncate(copy, 10)
    assert found(target(path_suffix="sub")) == ({str(site.farm): 10}, True)
    assert found(target(rsync.DAEMON)) == ({}, False), "who cannot ask does not know"


def test_a_folder_that_cannot_be_read_leaves_the_search_incomplete(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    local_copies = copies._local_copies

    def fails(made: ArchiveTarget, folder: str, name: str) -> Any:
        if folder == "/broken":
            raise OSError(5, "Input/output error")
        return local_copies(made, folder, name)

    monkeypatch.setattr(copies, "_local_copies", fails)
    site.copied()
    found = copies.existing_copies(target(), ["/broken", str(site.farm)], site.source.name)
    assert found == ({str(site.farm): SIZE}, False)


def test_only_temporary_files_of_this_plot_by_our_own_rsync_are_deleted(site: Site) -> None:
    name = site.source.name
    (site.farm / "sub").mkdir()
    ours = [site.farm / f".{name}.a1B2c3", site.farm / "sub" / f".{name}.Zz9Yy8"]
    others = [
        site.copied(),
        site.farm / f".{name}.short",
        site.farm / f".other-{name}.a1B2c3",
        site.farm / f"{name}.a1B2c3",
    ]
    for path in (*ours, *others):
        path.touch()
    for made in (target(rsync.DAEMON, path_suffix="sub"), target(SCRIPT, path_suffix="sub")):
        copies.delete_temporary_files(made, [str(site.farm)], name)
        assert all(path.exists() for path in ours)
    copies.delete_temporary_files(target(path_suffix="sub"), ["/no/such/folder", str(site.farm)], name)
    assert not any(path.exists() for path in ours)
    assert all(path.exists() for path in others)


def test_a_temporary_file_that_cannot_be_deleted_keeps_no_other(site: Site) -> None:
    name = site.source.name
    for number in range(4):
        (site.farm / f".{name}.dir00{number}").mkdir()
    left = site.farm / f".{name}.a1B2c3"
    left.touch()
    copies.delete_temporary_files(target(), [str(site.farm)], name)
    assert not left.exists()


def test_the_device_is_known_only_of_local_folders_that_exist(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(site.farm)
    assert copies.local_device(target(), folder) == site.farm.stat().st_dev
    assert copies.local_device(target(), str(site.source)) is None
    assert copies.local_device(target(), "/no/such/folder") is None
    assert copies.local_device(target(rsync.DAEMON), folder) is None
    assert copies.local_device(target(SCRIPT), folder) is None

    def fails(path: Path, **_: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "stat", fails)
    assert copies.local_device(target(), folder) is None


@pytest.mark.parametrize(
    ("ours", "command", "code", "lines", "message"),
    [
        (
            SCRIPT,
            "x",
            3,
            ("one", "no space"),
            r"transfer script exits 3: no space, during the transfer to /f",
        ),
        (SCRIPT, "x", -9, (), "transfer script was killed by signal 9, during the transfer to /f"),
        (rsync.LOCAL, "/bin/rsync", 11, ("rsync: write failed",), r"rsync.*11.*, during the transfer to /f"),
        (rsync.LOCAL, "/bin/rclone", 11, ("oh",), r"transfer script exits 11: oh"),
    ],
)
def test_a_script_that_fails_is_named_with_its_last_line(
    ours: str | None, command: str, code: int, lines: tuple[str, ...], message: str
) -> None:
    made = target(ours, command=command)
    copies.check_exit(made, "/f", Ended(0, lines, Path("/log"), 1.0))
    with pytest.raises(TransferFailed, match=message):
        copies.check_exit(made, "/f", Ended(code, lines, Path("/log"), 1.0))


def test_the_content_of_an_older_copy_is_compared_as_a_whole(site: Site) -> None:
    copy = site.copied()

    def compare(ours: str | None) -> str:
        return copies.compare_content(target(ours), site.source, str(copy), lambda _: None, never)

    assert compare(rsync.LOCAL) == compare(SCRIPT) == ", all bytes compared with the source"
    with pytest.raises(TransferFailed, match="cannot be compared"):
        compare(rsync.DAEMON)
    content = bytearray(copy.read_bytes())
    content[-1] ^= 1
    copy.write_bytes(content)
    with pytest.raises(TransferFailed, match="its content differs"):
        compare(rsync.LOCAL)
