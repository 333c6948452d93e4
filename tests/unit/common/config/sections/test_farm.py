"""Where the broker is, read without the rest of plotman.yaml: the same as all of it says, or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.config import load
from common.config.broker_url import broker_url
from common.config.sections.farm import farm_section

REST = "harvester: {drives: [/mnt/farm/*]}\n"


@pytest.mark.parametrize(
    "farm",
    [
        "farm: {broker: 'redis://:pw@far:6380/1', host: h1, state: /var/lib/plotman}",
        "farm: {broker: 'unix:///run/r.sock', state: below}",
        "farm:\n  broker: redis://far\n  # host: h1\n  state: /state//plotman/",
    ],
)
def test_a_good_file_says_the_same_read_in_part_or_as_a_whole(tmp_path: Path, farm: str) -> None:
    file = tmp_path / "plotman.yaml"
    file.write_text(f"version: [2]\n{farm}\n{REST}", encoding="utf-8")
    whole, part = load(file), farm_section(file)
    assert part == whole.farm
    assert (part.broker_url, part.state_dir) == (whole.broker_url, whole.state_dir)
    assert broker_url(part) == broker_url(whole)


def test_mistakes_beyond_the_section_do_not_keep_anybody_from_looking(tmp_path: Path) -> None:
    file = tmp_path / "plotman.yaml"
    file.write_text("version: [2]\nfarm: {host: h1}\nharvester: {drvies: 7}\n", encoding="utf-8")
    found = farm_section(file)
    assert found is not None
    assert found.host == "h1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- 2\n",
        "farm: {host: h1}\n",  # no version
        "version: [1]\n",
        "version: [2]\nfarm: {brokr: 'redis://far'}\n",
        "version: [2]\nfarm: {broker: far}\n",
        "version: [2]\nfarm: 7\n",
        "version: [2]\nfarm: {host: a}\nfarm: {host: b}\n",
        "version: [2]\nfarm: {host: 'a}\n",
    ],
)
def test_anything_doubtful_is_left_to_a_reading_of_the_whole(tmp_path: Path, text: str) -> None:
    file = tmp_path / "plotman.yaml"
    file.write_text(text, encoding="utf-8")
    assert farm_section(file) is None
    assert farm_section(tmp_path / "none.yaml") is None
    assert farm_section(tmp_path) is None
