"""Results in a Redis that refuses them."""

from __future__ import annotations

import logging

import pytest
import redis
from celery import Celery

from common.worker.results import Backend


def test_a_task_whose_result_is_refused_is_done_and_one_line_says_so(
    broker_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    backend = Backend(app=Celery(), url=broker_url)
    with redis.Redis.from_url(broker_url) as client:
        client.config_set("maxmemory", 1)
        try:
            with caplog.at_level(logging.WARNING):
                backend.mark_as_done("t1", {"made": 1})
        finally:
            client.config_set("maxmemory", 0)
    (record,) = caplog.records
    assert "the result of task t1 is not kept: Redis refused it" in record.getMessage()
    assert "\n" not in record.getMessage()
    backend.mark_as_done("t1", {"made": 2})
    assert backend.get_result("t1") == {"made": 2}
