from __future__ import annotations

from pathlib import Path

import pytest

from common.config.broker_url import (
    EmbeddedBroker,
    address_file,
    broker_url,
    embedded_broker,
)
from common.config.model import Config
from common.errors import BrokerError
from common.model.address import kombu_url, redis_url


def config(state: Path, **farm: object) -> Config:
    return Config.model_validate({"version": [2], "farm": {"state": str(state), **farm}})


def keep(state: Path, text: str) -> None:
    address_file(state).parent.mkdir(parents=True)
    address_file(state).write_text(text)


def test_the_broker_that_plotman_yaml_names_is_taken_as_it_is_written(tmp_path: Path) -> None:
    keep(tmp_path, EmbeddedBroker(port=20001, password="x").model_dump_json())
    assert broker_url(config(tmp_path, broker="redis://:pw@far:6380/1")) == "redis://:pw@far:6380/1"


def test_without_one_the_embedded_broker_is_found_where_it_was_started(tmp_path: Path) -> None:
    keep(tmp_path, EmbeddedBroker(port=20001, password="s3cret").model_dump_json())
    assert broker_url(config(tmp_path)) == "redis://:s3cret@127.0.0.1:20001/0"


def test_where_no_broker_ever_ran_the_error_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=r"No broker is running here.*Start `plotman up`"):
        broker_url(config(tmp_path))


@pytest.mark.parametrize("text", ["", "{}", '{"port": 0, "password": "x"}', '{"port": 1, "password": ""}'])
def test_a_damaged_address_file_is_named(tmp_path: Path, text: str) -> None:
    keep(tmp_path, text)
    with pytest.raises(BrokerError, match=r"broker\.json does not contain a broker's address"):
        embedded_broker(tmp_path)


def test_the_password_does_not_show_when_the_address_is_printed() -> None:
    assert "s3cret" not in repr(EmbeddedBroker(port=20001, password="s3cret"))


@pytest.mark.parametrize(
    ("ours", "kombus"),
    [
        ("unix:///run/r.sock", "redis+socket:///run/r.sock"),
        ("unix://me:pw@/run/r.sock?db=2", "redis+socket://me:pw@/run/r.sock?virtual_host=2"),
        ("unix://:p?w@/run/r.sock", "redis+socket://:p?w@/run/r.sock"),
        ("rediss://:db=1@far:6380/1", "rediss://:db=1@far:6380/1"),
    ],
)
def test_either_spelling_of_a_unix_socket_is_understood_by_both_libraries(ours: str, kombus: str) -> None:
    assert kombu_url(ours) == kombu_url(kombus) == kombus
    assert redis_url(kombus) == redis_url(ours) == ours
