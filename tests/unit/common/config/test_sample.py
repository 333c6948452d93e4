"""The sample is written from the models, loads as it is, and shows every key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from pydantic_core import PydanticUndefined

from common.config import load
from common.config.model import Config, Logging, all_keys, is_mapping, section_in
from common.config.sample import sample
from common.config.sections.base import Section, example_of
from common.config.sections.plotting import Plotting
from common.errors import ConfigError
from common.names import Role


def every_section(section: type[Section] = Config) -> list[type[Section]]:
    inner = [section_in(field.annotation) for field in section.model_fields.values()]
    return [section, *(found for one in inner if one for found in every_section(one))]


def loaded(tmp_path: Path, text: str) -> Config:
    file = tmp_path / "plotman.yaml"
    file.write_text(text)
    return load(file)


def test_it_loads_as_it_is_and_makes_a_whole_machine(tmp_path: Path) -> None:
    config = loaded(tmp_path, sample())
    assert config.roles == set(Role)
    assert config.archiving and config.archiving.by_harvester


def test_it_says_where_logs_go_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    for folder in (Logging().plots, Logging().transfers):
        assert f"Absent: ~/{Path(folder).relative_to(tmp_path)}." in re.sub(r"\n *# ", " ", sample())


def test_it_loads_with_every_commented_key_put_in_force(tmp_path: Path) -> None:
    text = re.sub(r"^( *)#(?! \S|$)", r"\1", sample(), flags=re.MULTILINE)
    # Either a pool key or a contract.
    config = loaded(tmp_path, re.sub(r"^ *pool_pk: .*\n", "", text, flags=re.MULTILINE))
    assert config.farm.host == "plotter1" and config.archiving
    assert config.archiving.target_definitions["my_nas"].env == {"site_root": "/nas"}


def test_it_shows_every_key() -> None:
    text = sample()
    missing = [key for key in all_keys() if not re.search(rf"^ *#?{key[-1]}:", text, re.MULTILINE)]
    assert missing == []


@pytest.mark.parametrize("plotter", ["chia", "madmax", "bladebit"])
def test_a_short_one_has_all_keys_of_its_plotter_and_fits_a_few_screens(plotter: str) -> None:
    text = sample(plotter, full=False)
    found = yaml.safe_load(re.sub(r"^( *)#(?! \S|$)", r"\1", text, flags=re.MULTILINE))
    assert found["plotting"]["type"] == plotter
    assert set(found["plotting"][plotter]) == set(
        section_in(Plotting.model_fields[plotter].annotation).model_fields
    )
    assert {"chia", "madmax", "bladebit", "xchplot2"} & set(found["plotting"]) == {plotter}
    assert len(text.splitlines()) < 160


def test_a_short_one_loads_and_makes_a_whole_machine(tmp_path: Path) -> None:
    assert loaded(tmp_path, sample(full=False)).roles == set(Role)


def test_a_plotter_without_a_sample_is_an_error_that_names_those_with_one() -> None:
    with pytest.raises(ConfigError, match=r"no sample for the plotter 'swar'.*chia, chiapos"):
        sample("swar")


def test_every_key_says_what_it_is_and_every_value_has_an_example() -> None:
    for section in every_section():
        for name, field in section.model_fields.items():
            where = f"{section.__name__}.{name}"
            assert field.description and field.description.endswith("."), where
            held = section_in(field.annotation)
            example = example_of(field)
            assert example is not PydanticUndefined or (held and not is_mapping(field.annotation)), where


def test_its_lines_fit_a_terminal() -> None:
    assert max(map(len, sample().splitlines())) <= 105
