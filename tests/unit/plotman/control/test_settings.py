"""The settings of a verb while plotman.yaml has a mistake: operators must be able to control the farm."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from common.config.broker_url import broker_url
from common.config.loader import read
from common.config.watch import keep
from common.errors import BrokerError, ConfigError
from plotman.control.farm import quick_board, settings

URL = "redis://:secret@broker1:6379/0"
GOOD = """version: [2]
farm:
  host: h1
  state: {state}
  broker: {url}
harvester:
  drives: [drives/1]
  margin_bytes: 5
notifications:
  targets: {{phone: {{url: "ntfy://ntfy.sh/x"}}}}
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plotman.yaml without a mistake, which never took effect."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    made = tmp_path / "plotman.yaml"
    monkeypatch.setenv("PLOTMAN_CONFIG", str(made))
    made.write_text(GOOD.format(state=tmp_path / "state", url=URL), encoding="utf-8")
    return made


def mistake(path: Path, good: str, bad: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert good in text
    path.write_text(text.replace(good, bad), encoding="utf-8")


ELSEWHERE = [("margin_bytes: 5", "margin_bytes: -5"), ("[2]", "[9]"), ("harvester", "harvestr")]
IN_FARM = [("  broker:", "  brokr:"), ("  host: h1", "\thost: h1"), ("host: h1", "host: ]")]


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize(("good", "bad"), ELSEWHERE)
def test_a_mistake_in_another_section_is_a_warning(
    path: Path, caplog: pytest.LogCaptureFixture, good: str, bad: str, kept: bool
) -> None:
    if kept:
        keep(path, read(path))
    mistake(path, good, bad)
    with caplog.at_level(logging.WARNING):
        assert (settings().host, broker_url(settings())) == ("h1", URL)
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{path}:")
    assert "`plotman config check`" in record.getMessage()
    assert "\n" not in record.getMessage()


@pytest.mark.parametrize(("good", "bad"), [*IN_FARM, ("farm:", "farn:")])
def test_a_mistake_in_the_section_farm_leaves_its_last_good_copy_in_effect(
    path: Path, good: str, bad: str
) -> None:
    # In the usual state folder: the mistake may be in its name.
    mistake(path, f"  state: {path.parent / 'state'}\n", "")
    keep(path, read(path))
    mistake(path, good, bad)
    assert (settings().host, broker_url(settings())) == ("h1", URL)
    assert quick_board()._url == URL


@pytest.mark.parametrize(("good", "bad"), IN_FARM)
def test_a_mistake_in_the_section_farm_is_an_error_without_such_a_copy(
    path: Path, good: str, bad: str
) -> None:
    mistake(path, good, bad)
    with pytest.raises(ConfigError):
        settings()


def test_a_mistake_in_the_name_of_the_section_farm_is_named_before_the_missing_broker(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mistake(path, "farm:", "farn:")
    with pytest.raises(BrokerError, match="names none"):
        quick_board()
    assert "farn" in caplog.text


def test_a_verb_may_need_another_section(path: Path) -> None:
    keep(path, read(path))
    mistake(path, "{url: ", "{ulr: ")
    mistake(path, "host: h1", "host: h2")
    assert settings().host == "h2"
    assert list(settings("notifications").notifications.targets) == ["phone"]
    assert settings("notifications").host == "h1", "all of the last good file"
