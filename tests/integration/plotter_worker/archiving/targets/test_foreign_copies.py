"""A target's folder already has a file of the plot's name that plotman did not put there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plotter_worker.archiving.targets import copies
from tests.integration.plotter_worker.conftest import Site
from tests.support import formats

ROOM = 100_000_000
# What a careful user writes: it leaves a file of the name as it is.
COPY_NEW = 'find "$destination" -name "${source##*/}" | grep -q . || cp "$source" "$destination"'
# With each of these rsync exits 0 and leaves a file of the name as it is.
SKIPPING = (
    "--list-only",
    "--max-size=1K",
    "--min-size 1G",
    "--exclude=*.plot",
    "--filter=-_*.plot",
    "--no-checksum",
    "--relative",
    "-aR",
    "--only-write-batch=/dev/null",
    "--version",
)
Daemon = Callable[..., dict[str, Any]]


def local(site: Site, **env: Any) -> dict[str, Any]:
    return {"target": "local_rsync", "env": {"site_root": str(site.root), **env}}


def put(site: Site, plot: Path, content: bytes, drive: str = "a") -> Path:
    """A file with the plot's name and time of change, which rsync by itself takes for the same."""
    copy = site.root / drive / plot.name
    copy.write_bytes(content)
    os.utime(copy, ns=(plot.stat().st_atime_ns, plot.stat().st_mtime_ns))
    return copy


@pytest.mark.parametrize(
    "settings",
    [
        ["local"],
        ["local", "-au --times"],
        ["local", "--size-only"],
        ["local", "--ignore-existing"],
        *(["local", option] for option in SKIPPING),
        [],
        ["write only = yes"],
        ["refuse options = checksum"],
        ["refuse options = ignore-times"],
        ["refuse options = fsync"],
    ],
    ids=lambda words: " ".join(words) or "daemon",
)
def test_our_rsync_leaves_the_same_bytes_over_every_earlier_file(
    site: Site, plot: Path, daemon: Daemon, settings: list[str]
) -> None:
    site.drives(a=ROOM)
    original = plot.read_bytes()
    if settings[:1] == ["local"]:
        archiving = local(site, **({"options": settings[1]} if settings[1:] else {}))
    else:
        archiving = daemon(*settings)
    for what, content in {**formats.differing(original), "same": original}.items():
        copy = put(site, plot, content)
        if "-au" in " ".join(settings):
            os.utime(copy)  # newer than the source, which such an rsync passes over
        site.move(site.mover(**archiving), plot)
        assert copy.read_bytes() == original, what


@pytest.mark.parametrize(
    "settings",
    [["write only = yes", "refuse options = ignore-times"], ["refuse options = checksum ignore-times"]],
    ids=" ".join,
)
def test_without_a_comparison_the_source_is_kept_and_a_cure_named(
    site: Site, plot: Path, daemon: Daemon, settings: list[str]
) -> None:
    site.drives(a=ROOM)
    put(site, plot, formats.differing(plot.read_bytes())["one bit"])
    told = site.failure(daemon(*settings), plot)
    assert "its content cannot be compared" in told
    assert "allow checksum and ignore-times in rsyncd.conf" in told


def test_a_refused_option_does_no_harm_without_an_earlier_file(
    site: Site, plot: Path, daemon: Daemon
) -> None:
    site.drives(a=ROOM)
    site.move(site.mover(**daemon("refuse options = checksum ignore-times")), plot)
    assert (site.root / "a" / plot.name).read_bytes() == plot.read_bytes()


def test_another_program_instead_of_rsync_proves_no_earlier_file(site: Site, plot: Path) -> None:
    site.drives(a=ROOM)
    program = site.program("mycopy", "exit 0")
    bad = put(site, plot, formats.differing(plot.read_bytes())["one bit"])
    assert f"{bad} was there before, and its content differs" in site.failure(
        local(site, command=str(program)), plot
    )
    bad.write_bytes(plot.read_bytes())
    done = site.move(site.mover(**local(site, command=str(program))), plot)
    assert done.verified.endswith("all bytes compared with the source")


@pytest.mark.parametrize("place", ["1", "1/deeper"])
def test_a_script_of_the_user_proves_no_earlier_file(site: Site, plot: Path, place: str) -> None:
    script = site.scripts(COPY_NEW)
    (site.root / place).mkdir(exist_ok=True)
    bad = put(site, plot, formats.differing(plot.read_bytes())["one bit"], place)
    told = site.failure(script, plot)
    assert f"{bad} was there before, and its content differs from {plot}" in told
    assert "move the bad one out of the way" in told
    put(site, plot, formats.differing(plot.read_bytes())["zeroed tail"], place)
    assert f"{bad} is not whole: zeros at byte " in site.failure(script, plot)


def test_an_earlier_file_with_the_same_bytes_is_a_copy(site: Site, plot: Path) -> None:
    script = site.scripts(COPY_NEW)
    put(site, plot, plot.read_bytes(), "1")
    done = site.move(site.mover(**script), plot)
    assert done.verified.endswith("all bytes compared with the source")
    (site.root / "1" / plot.name).unlink()
    assert not site.move(site.mover(**script), plot).verified.endswith("compared with the source")


def test_an_unreadable_folder_may_have_an_earlier_file(
    site: Site, plot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = put(site, plot, formats.differing(plot.read_bytes())["one bit"], "1")
    real, looks = copies._local_copies, []

    def fails_once(*arguments: Any) -> Any:
        looks.append(arguments)
        if len(looks) == 1:
            raise OSError(5, "Input/output error")
        return real(*arguments)

    monkeypatch.setattr(copies, "_local_copies", fails_once)
    assert f"{bad} was there before" in site.failure(site.scripts(COPY_NEW), plot)
