"""What a machine starts by while its plotman.yaml has errors."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from common.config import Config
from common.config.loader import read
from common.config.watch import keep, load_to_run
from common.errors import ConfigError

GOOD = """version: [2]
farm: {{host: h1, state: {state}}}
harvester:
  drives: [drives/1]
  margin_bytes: 5
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A plotman.yaml that has been in effect."""
    made = tmp_path / "plotman.yaml"
    made.write_text(GOOD.format(state=tmp_path / "state"), encoding="utf-8")
    keep(made, read(made))
    return made


def started(path: Path) -> Config:
    told: list[str] = []
    settings = load_to_run(path, told.append)
    assert len(told) == 1
    assert f"{path}:" in told[0]
    return settings


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("margin_bytes", "margin_byte"),
        ("  margin_bytes", "\tmargin_bytes"),
        ("[drives/1]", "[drives/1"),
        ("farm: {host", "farm: {hots"),
        ("version: [2]", "version: [1]"),
    ],
)
def test_a_file_with_errors_leaves_the_last_good_one_in_effect(path: Path, good: str, bad: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert good in text
    path.write_text(text.replace(good, bad), encoding="utf-8")
    settings = started(path)
    assert settings.harvester is not None
    assert settings.harvester.margin_bytes == 5
    assert settings.harvester.drives == (str(path.parent / "drives/1"),), "below the folder of the original"


@pytest.mark.parametrize(
    "line", ["  state: {}", "  state: '{}'", '  state: "{}" # kept', "  state: {} # kept"]
)
def test_the_state_folder_is_found_in_a_text_that_is_no_yaml(tmp_path: Path, line: str) -> None:
    path = tmp_path / "plotman.yaml"
    text = "version: [2]\nfarm:\n  # state: /elsewhere\n" + line.format(tmp_path / "a state") + "\n"
    path.write_text(text, encoding="utf-8")
    keep(path, read(path))
    path.write_text(text + "harvester: [", encoding="utf-8")
    assert started(path).state_dir == tmp_path / "a state"


def test_a_good_file_needs_no_other(path: Path) -> None:
    path.write_text(path.read_text(encoding="utf-8").replace("margin_bytes: 5", "margin_bytes: 6"))
    told: list[str] = []
    harvester = load_to_run(path, told.append).harvester
    assert harvester is not None
    assert harvester.margin_bytes == 6
    assert not told


def test_without_a_good_one_its_errors_are_what_is_said(path: Path) -> None:
    (path.parent / "state/last-good-plotman.yaml").unlink()
    path.write_text(path.read_text(encoding="utf-8").replace("margin_bytes", "margin_byte"))
    with pytest.raises(ConfigError, match="Did you mean margin_bytes"):
        load_to_run(path)


def test_one_that_another_file_left_there_is_not_taken(path: Path) -> None:
    other = path.with_name("other.yaml")
    other.write_text(path.read_text(encoding="utf-8").replace("margin_bytes", "margin_byte"))
    with pytest.raises(ConfigError):
        load_to_run(other)


def test_where_there_is_no_file_nothing_starts(path: Path) -> None:
    path.unlink()
    with pytest.raises(ConfigError, match="does not exist"):
        load_to_run(path)


def test_its_passwords_are_for_its_owner_only(path: Path) -> None:
    assert (path.parent / "state/last-good-plotman.yaml").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("name", "mode"), [(".", 0o777), ("last-good-plotman.yaml", 0o666)])
def test_a_copy_that_other_users_may_write_does_not_count(path: Path, name: str, mode: int) -> None:
    """It names programs to run."""
    path.write_text(path.read_text(encoding="utf-8") + "harvester: [", encoding="utf-8")
    assert started(path)
    (path.parent / "state" / name).chmod(mode)
    with pytest.raises(ConfigError):
        load_to_run(path, lambda _: None)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("place", ["a pipe", "a link"])
def test_what_another_user_put_in_the_place_of_the_copy_is_neither_read_nor_waited_for(
    path: Path, place: str
) -> None:
    copy = path.parent / "state/last-good-plotman.yaml"
    elsewhere = copy.rename(path.parent / "elsewhere")
    if place == "a pipe":
        os.mkfifo(copy)
    else:
        copy.symlink_to(elsewhere)
    good = path.read_text(encoding="utf-8")
    path.write_text(good + "harvester: [", encoding="utf-8")
    with pytest.raises(ConfigError):
        load_to_run(path, lambda _: None)
    path.write_text(good, encoding="utf-8")
    keep(path, read(path))
    assert stat.S_ISREG(copy.lstat().st_mode), "the next good file replaces it"
    path.write_text(good + "harvester: [", encoding="utf-8")
    assert started(path)
