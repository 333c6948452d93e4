"""The colours that a user chose are there at the next start."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from plotman.dashboard import theme_choice
from plotman.dashboard.theme import DARK, LIGHT


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path / "plotman"


def test_the_last_choice_is_remembered() -> None:
    assert theme_choice.remembered() is DARK
    theme_choice.remember(LIGHT.name)
    assert theme_choice.remembered() is LIGHT
    theme_choice.remember(DARK.name)
    assert theme_choice.remembered() is DARK


@pytest.mark.parametrize("content", [b"", b"{", b'{"light": "often"}', b"\xff\x00", b"[]"])
def test_a_broken_file_means_the_dark_colours_and_is_replaced(home: Path, content: bytes) -> None:
    home.mkdir()
    theme_choice.choice_file().write_bytes(content)
    assert theme_choice.remembered() is DARK
    theme_choice.remember(LIGHT.name)
    assert theme_choice.remembered() is LIGHT
    assert [path.name for path in home.iterdir()] == ["dashboard.json"]


def test_a_later_release_may_have_written_more(home: Path) -> None:
    home.mkdir()
    theme_choice.choice_file().write_text('{"light": true, "sound": "loud"}', encoding="utf-8")
    assert theme_choice.remembered() is LIGHT


def test_a_folder_that_cannot_be_written_to_is_logged(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    home.write_text("a file where the folder should be", encoding="utf-8")
    with caplog.at_level(logging.ERROR):
        theme_choice.remember(LIGHT.name)
    assert "the colours of the dashboard" in caplog.text
    assert theme_choice.remembered() is DARK
